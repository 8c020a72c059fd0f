// The projects of the account, and the form for a new one.
import { useCallback, useEffect, useState, type FormEvent } from "react";
import { useSession } from "../account/session";
import { createProject, listProjects } from "../actions";
import type { Format, Project } from "../model";
import { Link, navigate } from "../router";
import { useAction } from "../ui/useAction";

const FORMATS: { format: Format; label: string }[] = [
  { format: "landscape", label: "Landscape 16:9" },
  { format: "portrait", label: "Portrait 9:16" },
  { format: "square", label: "Square 1:1" },
];

function NewProject() {
  const { busy, error, run } = useAction();
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const title = String(form.get("title")).trim();
    const created = await run(() => createProject(title, form.get("format") as Format));
    if (created) navigate(`/projects/${encodeURIComponent(created.id)}`);
  };
  return (
    <form className="new-project" aria-label="New project" onSubmit={submit}>
      <label>
        Title
        <input name="title" required maxLength={200} placeholder="Product launch" />
      </label>
      <label>
        Format
        <select name="format" defaultValue="landscape">
          {FORMATS.map(({ format, label }) => (
            <option key={format} value={format}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <button className="primary" disabled={busy}>
        Create project
      </button>
      {error !== null && <p role="alert">{error}</p>}
    </form>
  );
}

export function ProjectList() {
  const { account, signOut } = useSession();
  const { busy, error, run } = useAction();
  const [projects, setProjects] = useState<Project[]>([]);
  const [cursor, setCursor] = useState<string | null>(null);
  const [loaded, setLoaded] = useState(false);

  const load = useCallback(
    async (after: string | null) => {
      const page = await run(() => listProjects(after));
      if (page === undefined) return;
      setProjects((before) => (after === null ? page.items : [...before, ...page.items]));
      setCursor(page.nextCursor);
      setLoaded(true);
    },
    [run],
  );
  useEffect(() => void load(null), [load]);

  return (
    <main className="page">
      <header className="page-head">
        <p className="brand">Reelroom</p>
        <span className="spacer" />
        <span className="hint">{account?.name}</span>
        <button className="quiet" onClick={signOut}>
          Sign out
        </button>
      </header>
      <h1>Projects</h1>
      <NewProject />
      {error !== null && <p role="alert">{error}</p>}
      {loaded && projects.length === 0 && <p className="hint">No project yet. Give the first one a title.</p>}
      <ul className="projects" aria-label="Projects" aria-busy={busy}>
        {projects.map((project) => (
          <li key={project.id} data-project-id={project.id}>
            <Link to={`/projects/${encodeURIComponent(project.id)}`} className="project">
              <span className={`thumb thumb-${project.format}`} aria-hidden="true" />
              <span>{project.title}</span>
              <span className="hint">{project.format}</span>
            </Link>
          </li>
        ))}
      </ul>
      {cursor !== null && (
        <button disabled={busy} onClick={() => load(cursor)}>
          More
        </button>
      )}
    </main>
  );
}
