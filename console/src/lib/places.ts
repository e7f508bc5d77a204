// Where in a JSON text a value stands: so that a fault that names its place by a pointer can be shown at its line.

/** For each JSON pointer (`#/if/path/0`) the offset at which its value, or its key, begins. */
export function places(text: string): Map<string, number> {
  const found = new Map<string, number>();
  const reader = new Reader(text, found);
  try {
    reader.value('#');
  } catch {
    // What is not JSON to its end has the places up to where it goes wrong.
  }
  return found;
}

/** The line, from 1, of what a pointer names; of the nearest that encloses it where that is not there. */
export function lineOf(text: string, known: Map<string, number>, pointer: string): number {
  let at = known.get(pointer);
  for (let outer = pointer; at === undefined && outer.includes('/'); ) {
    outer = outer.slice(0, outer.lastIndexOf('/'));
    at = known.get(outer);
  }
  return lineAt(text, at ?? 0);
}

export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line += 1;
  return line;
}

/** `Statement[0].Effect` as a pointer. Keys with dots in them are not told apart: the nearest place is shown. */
export function pointerOf(path: string): string {
  const parts = path.replace(/\[(\d+)\]/g, '.$1').split('.').filter(Boolean);
  return '#' + parts.map((part) => '/' + part.replace(/~/g, '~0').replace(/\//g, '~1')).join('');
}

/** Where JSON.parse gives up, as a line and what is wrong there. */
export function syntaxMistake(text: string): { line: number; detail: string } | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const position = /position (\d+)/.exec(said)?.[1];
    const line = /line (\d+)/.exec(said)?.[1];
    const at = line ? Number(line) : lineAt(text, position ? Number(position) : text.length);
    return { line: at, detail: said.replace(/^JSON\.parse: /, '').replace(/ in JSON at position.*$/, '') };
  }
}

class Reader {
  #at = 0;

  constructor(
    readonly text: string,
    readonly found: Map<string, number>,
  ) {}

  value(pointer: string): void {
    this.#space();
    if (!this.found.has(pointer)) this.found.set(pointer, this.#at);
    const first = this.text[this.#at];
    if (first === '{') this.#entries(pointer);
    else if (first === '[') this.#items(pointer);
    else if (first === '"') this.#text();
    else this.#word();
  }

  #entries(pointer: string): void {
    this.#at += 1;
    for (this.#space(); this.text[this.#at] !== '}'; this.#space()) {
      const start = this.#at;
      const key = this.#text().replace(/~/g, '~0').replace(/\//g, '~1');
      this.found.set(`${pointer}/${key}`, start);
      this.#space();
      this.#expect(':');
      this.value(`${pointer}/${key}`);
      this.#space();
      if (this.text[this.#at] !== '}') this.#expect(',');
    }
    this.#at += 1;
  }

  #items(pointer: string): void {
    this.#at += 1;
    let index = 0;
    for (this.#space(); this.text[this.#at] !== ']'; this.#space()) {
      this.value(`${pointer}/${index++}`);
      this.#space();
      if (this.text[this.#at] !== ']') this.#expect(',');
    }
    this.#at += 1;
  }

  #text(): string {
    const match = /"(?:[^"\\]|\\.)*"/y;
    match.lastIndex = this.#at;
    const text = match.exec(this.text)?.[0];
    if (text === undefined) throw new SyntaxError();
    this.#at += text.length;
    return JSON.parse(text) as string;
  }

  #word(): void {
    const match = /[-+.\w]+/y;
    match.lastIndex = this.#at;
    const word = match.exec(this.text)?.[0];
    if (word === undefined) throw new SyntaxError();
    this.#at += word.length;
  }

  #space(): void {
    while (/\s/.test(this.text[this.#at] ?? '')) this.#at += 1;
  }

  #expect(sign: string): void {
    if (this.text[this.#at] !== sign) throw new SyntaxError();
    this.#at += 1;
  }
}
