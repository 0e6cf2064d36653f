/**
 * How many letters were left out, put in, mistaken or, side by side, exchanged (optimal string alignment); given up (as `limit + 1`) once it must exceed
 * `limit`.
 */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    let best = i;
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let value = Math.min(substitution, (row[j] as number) + 1, (next[j - 1] as number) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        value = Math.min(value, (before[j - 2] as number) + 1);
      next.push(value);
      if (value < best) best = value;
    }
    if (best > limit) return limit + 1;
    before = row;
    row = next;
  }
  return row[b.length] as number;
}

/** The candidate most like `name`, when one is near enough to be what was meant. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of candidates) {
    const found = distance(name.toLowerCase(), candidate.toLowerCase(), bestDistance - 1);
    if (found < bestDistance) {
      best = candidate;
      bestDistance = found;
    }
  }
  return best;
}

/** ` (did you mean "x"?)`, or what there is, or nothing: the tail of an error about an unknown name. */
export function suggestion(name: string, candidates: Iterable<string>): string {
  const all = [...candidates];
  const near = nearest(name, all);
  if (near !== undefined) return ` (did you mean "${near}"?)`;
  if (all.length === 0) return " (there are none)";
  const shown = all.slice(0, 8).map((candidate) => `"${candidate}"`);
  return ` (there ${all.length === 1 ? "is" : "are"} ${shown.join(", ")}${all.length > shown.length ? ", ..." : ""})`;
}
