/** What a section's name says of its program. */

/** `kprobe/nf_hook_slow` -> `kprobe`; a leading `?` (do not load by itself) is not part of it. */
export function sectionKind(section: string): string {
  return section.replace(/^\?/, "").split("/", 1)[0] as string;
}

/** `kprobe/nf_hook_slow` -> `nf_hook_slow`; empty where there is nothing. */
export function sectionTarget(section: string): string {
  const slash = section.indexOf("/");
  return slash < 0 ? "" : section.slice(slash + 1);
}

/** Sections whose programs attach to a cgroup by its path. */
export function needsCgroup(section: string): boolean {
  const kind = sectionKind(section);
  return kind === "sockops" || kind.startsWith("cgroup") || kind === "lsm_cgroup";
}
