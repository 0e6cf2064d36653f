/** `*` stands for any characters, `?` for one; the rest for itself. */
export function globMatcher(pattern: string): (name: string) => boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*/g, ".*")
    .replace(/\?/g, ".");
  const expression = new RegExp(`^${source}$`);
  return (name) => expression.test(name);
}

export function isGlob(pattern: string): boolean {
  return /[*?]/.test(pattern);
}
