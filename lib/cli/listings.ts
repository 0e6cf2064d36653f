/** `ebpf prog`, `ebpf map`, `ebpf link`: what is in the kernel, whoever put it there. */
import { BpfError } from "../errors.js";
import { type ListAttachmentsOptions, listAttachments } from "../link/attachments.js";
import { listLinks, listMaps, listPrograms } from "../link/enumerate.js";
import type { FoundAttachment } from "../link/found_attachment.js";
import { Link } from "../link/link.js";
import type { LinkInfo } from "../link/link_info.js";
import { json } from "./json.js";
import { type Output, styleOf, table } from "./output.js";

export interface ListingOptions {
  readonly json?: boolean | undefined;
}

export interface LinkOptions extends ListingOptions {
  readonly netns?: string | undefined;
  readonly cgroup?: string | undefined;
}

function write(out: Output, head: readonly string[], rows: readonly (readonly string[])[]): void {
  const { bold } = styleOf(out.stdout);
  // Escapes have no width: the head is made bold when the columns are.
  const [first = "", ...rest] = table([head, ...rows], "").split(/(?<=\n)/);
  out.stdout.write(bold(first) + rest.join(""));
}

export function listProgramsCommand(options: ListingOptions, out: Output): void {
  const programs = listPrograms();
  if (options.json) {
    out.stdout.write(json(programs));
    return;
  }
  write(
    out,
    ["ID", "TYPE", "NAME", "TAG", "BYTES", "MAPS", "RUNS"],
    programs.map((program) => [
      `${program.id}`,
      program.type,
      program.name,
      program.tag,
      `${program.jitedSize || program.translatedSize}`,
      program.mapIds.join(","),
      program.runCount > 0n ? `${program.runCount} (${program.runTimeNs / program.runCount} ns each)` : "",
    ]),
  );
}

export function listMapsCommand(options: ListingOptions, out: Output): void {
  const maps = listMaps();
  if (options.json) {
    out.stdout.write(json(maps));
    return;
  }
  write(
    out,
    ["ID", "TYPE", "NAME", "KEY", "VALUE", "ENTRIES", "MEMORY", "FLAGS"],
    maps.map((map) => [
      ...[`${map.id}`, map.type, map.name, `${map.keySize}`, `${map.valueSize}`, `${map.maxEntries}`],
      ...[map.memory === undefined ? "" : `${map.memory}`, map.flags.join(",")],
    ]),
  );
}

function attachmentsOptions({ netns, cgroup }: LinkOptions): ListAttachmentsOptions {
  return { ...(netns === undefined ? {} : { netns }), ...(cgroup === undefined ? {} : { cgroup }) };
}

/** What `ebpf link remove` takes for an attachment without a link. */
function nameOf({ kind, target }: FoundAttachment): string {
  return `${kind}:${target}`;
}

export function listLinksCommand(options: LinkOptions, out: Output): void {
  const links = listLinks();
  const attachments = listAttachments(attachmentsOptions(options));
  if (options.json) {
    const found = attachments.map(({ kind, target, programId, program }) => ({ kind, target, programId, program }));
    out.stdout.write(json({ links, attachments: found }));
    return;
  }
  const programs = new Map(listPrograms().map(({ id, name }) => [id, name]));
  const program = (id: number) => (id === 0 ? "" : `${programs.get(id) ?? ""} (${id})`);
  write(
    out,
    ["ID", "TYPE", "PROGRAM", "WHERE"],
    [
      ...links.map((link) => [`${link.id}`, link.type, program(link.programId), placeOf(link)]),
      ...attachments.map((found) => [
        "-",
        found.kind,
        found.programId === 0 ? found.program : program(found.programId),
        nameOf(found),
      ]),
    ],
  );
}

/** Where a link is attached, from what the kernel says of its kind. */
function placeOf(link: LinkInfo): string {
  const { id: _id, programId: _programId, type: _type, ...rest } = link;
  return Object.entries(rest)
    .filter(([, value]) => value !== 0 && value !== 0n && value !== "" && !Array.isArray(value))
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
}

/** Detaches a link by its id, or an attachment by what `ebpf link` calls it. */
export function removeLinkCommand(what: string, options: LinkOptions, out: Output): void {
  if (/^\d+$/.test(what)) {
    using link = Link.fromId(Number(what));
    link.detach();
  } else {
    const all = listAttachments(attachmentsOptions(options));
    const found = all.filter((attachment) => nameOf(attachment) === what);
    if (found.length === 0) {
      throw new BpfError({
        code: "NOT_FOUND",
        message: `nothing is attached as "${what}": ebpf link shows ids, and under WHERE what has none`,
      });
    }
    for (const attachment of found) attachment.remove();
  }
  out.stdout.write(`${what}  removed\n`);
}
