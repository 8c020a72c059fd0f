// The others who have the project open, and which scene they look at if their client says so.
import type { ProjectState } from "../sync/apply";

const SHOWN = 5;

/** Two letters at the most. */
function initials(name: string): string {
  const words = name.split(/\s+/).filter((word) => word !== "");
  return words.slice(0, 2).map((word) => [...word][0] ?? "").join("").toUpperCase() || "?";
}

/** The same hue for the same person in every window. */
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
  const more = Math.max(0, others.length - SHOWN) + hidden;
  if (others.length === 0 && more === 0) return null;
  return (
    <ul className="people" aria-label="Also here">
      {others.slice(0, SHOWN).map(([userId, seen]) => {
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
