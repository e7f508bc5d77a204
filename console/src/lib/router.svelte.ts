// Where one is: the part of the address behind `#`, such as `#/target-groups/web?filter=unhealthy`. No page is loaded from the
// server for it, so a console that is served from any folder works the same.

class Route {
  path = $state('/map');
  query = $state.raw(new URLSearchParams());

  constructor() {
    this.#read();
    addEventListener('hashchange', () => this.#read());
  }

  /** The path's parts, with what was escaped in them put back. */
  get parts(): string[] {
    return this.path.split('/').filter(Boolean).map(unescaped);
  }

  #read(): void {
    const [path = '', query = ''] = location.hash.replace(/^#/, '').split('?', 2);
    this.path = path.startsWith('/') ? path : '/map';
    this.query = new URLSearchParams(query);
  }
}

export const route = new Route();

export function go(hash: string): void {
  location.hash = hash;
}

/** Says in the address what a page shows, without another step to go back over. */
export function setQuery(query: Record<string, string>): void {
  const given = Object.entries(query).filter(([, value]) => value !== '');
  const said = given.length ? '?' + new URLSearchParams(given) : '';
  history.replaceState(null, '', `#${route.path}${said}`);
}

/** `href` of a page: its parts are escaped. */
export function href(...parts: (string | number)[]): string {
  return '#/' + parts.map((part) => encodeURIComponent(part)).join('/');
}

function unescaped(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
