// Dark or light: as the system says until somebody chooses, which this browser remembers.

type Theme = 'light' | 'dark';

const KEY = 'headworks-theme';
const system = matchMedia('(prefers-color-scheme: dark)');

class ThemeStore {
  #chosen = $state<Theme | null>(remembered());
  #system = $state<Theme>(system.matches ? 'dark' : 'light');

  constructor() {
    system.addEventListener('change', () => (this.#system = system.matches ? 'dark' : 'light'));
    this.#show();
  }

  get now(): Theme {
    return this.#chosen ?? this.#system;
  }

  toggle(): void {
    this.#chosen = this.now === 'dark' ? 'light' : 'dark';
    try {
      localStorage.setItem(KEY, this.#chosen);
    } catch {
      // A browser that keeps nothing shows it until the page is left.
    }
    this.#show();
  }

  #show(): void {
    if (this.#chosen) document.documentElement.dataset['theme'] = this.#chosen;
  }
}

function remembered(): Theme | null {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'dark' || kept === 'light' ? kept : null;
  } catch {
    return null;
  }
}

export const theme = new ThemeStore();
