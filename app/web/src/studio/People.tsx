// The other users who have the project open, and the scenes they look at if their clients send it.
import type { ProjectState } from "../sync/apply";

const MAX_SHOWN_PEOPLE = 5;

/** Return at most two initials. */
function initials(name: string): string {
  const words = name.split(/\s+/).filter((word) => word !== "");
  return words.slice(0, 2).map((word) => [...word][0] ?? "").join("").toUpperCase() || "?";
}

/** Return a hue in degrees that is the same for a user in every window. */
function hueOf(userId: string): number {
  return [...userId].reduce((sum, letter) => (sum * 31 + (letter.codePointAt(0) ?? 0)) % 360, 7);
}

export function People({ state, self }: { state: ProjectState; self: string | null }) {
  const { members, people, hidden, scenes } = state;
  const scenesOf = new Map<string, string[]>();
  for (const { userId, sceneId } of people) {
    if (userId === self) continue;
    const scene = sceneId ? scenes[sceneId]?.name : undefined;
    scenesOf.set(userId, [...(scenesOf.get(userId) ?? []), ...(scene === undefined ? [] : [scene])]);
  }
  const others = [...scenesOf];
  const more = Math.max(0, others.length - MAX_SHOWN_PEOPLE) + hidden;
  if (others.length === 0 && more === 0) return null;
  return (
    <ul className="people" aria-label="Also here">
      {others.slice(0, MAX_SHOWN_PEOPLE).map(([userId, seen]) => {
        const name = members[userId]?.name ?? "Somebody";
        const where = seen.length === 0 ? name : `${name}, on ${seen.join(", ")}`;
        return (
          <li key={userId} title={where} aria-label={where} style={{ background: `hsl(${hueOf(userId)} 45% 38%)` }}>
            {initials(name)}
          </li>
        );
      })}
      {more > 0 && <li aria-label={`${more} more`}>+{more}</li>}
    </ul>
  );
}
