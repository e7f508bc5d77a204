// Colours of the style sheet for what is drawn on a canvas, which knows no custom properties.

let probe: HTMLElement | undefined;

export function colour(name: string): string {
  if (!probe) {
    probe = document.createElement('span');
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

/** The same, seen through. */
export function faded(name: string, alpha: number): string {
  const [r, g, b] = colour(name).match(/[\d.]+/g) ?? ['128', '128', '128'];
  return `rgb(${r} ${g} ${b} / ${alpha})`;
}
