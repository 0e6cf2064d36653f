/** What a program is attached to goes away. */
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { Link } from "ebpf";
import { describe, expect } from "vitest";
import { Watched } from "../support/attach.js";
import { TestCgroup } from "../support/cgroup.js";
import { nothingStaysOpen } from "../support/descriptors.js";
import { errorOf } from "../support/errors.js";
import { NamespacePair, NetNamespace } from "../support/namespace.js";
import { requires } from "../support/requires.js";
import { until } from "../support/until.js";

nothingStaysOpen();

/** update() says that it is gone; detach() and close() have nothing to complain of. */
async function isGone(link: Link, program: { readonly fd: number; readonly name: string }): Promise<void> {
  const error = await errorOf(() => link.update(program));
  expect(error).toMatchObject({ code: "INVALID_STATE" });
  expect(error.message).toContain("what it was attached to is gone");
  link.detach();
  link.close();
  link.close();
}

describe("gone while it is attached", () => {
  requires({ cgroup2: true, kernel: ">=5.9" }).test("a cgroup", async () => {
    await using cgroup = new TestCgroup();
    using watched = await Watched.load("attach_cgroup", ["on_connect4", "on_bind4"]);
    const path = join(cgroup.path, "below");
    mkdirSync(path);
    const program = watched.object.program("on_connect4");
    const link = program.attachCgroup(path);
    const byMode = watched.object.program("on_bind4").attachCgroup(path, { mode: "multi" });
    rmdirSync(path);
    // The kernel takes its programs away some time after.
    await until("the kernel to let go of it", () => {
      const info = link.info();
      return info.type === "cgroup" && info.cgroupId === 0n;
    });
    await isGone(link, program);
    byMode.close();
    expect(watched.object.links).toEqual([]);
  });

  requires({ netns: true, attachType: "tcxIngress" }).test("a device, of tcx and XDP links", async () => {
    using pair = new NamespacePair();
    const place = { netns: pair.b.path };
    using watched = await Watched.load("attach_net", ["on_tcx", "on_xdp", "on_socket"]);
    const [tcx, xdp] = [watched.object.program("on_tcx"), watched.object.program("on_xdp")];
    const links = [
      [tcx.attachTcx("veth0", "ingress", place), tcx],
      [xdp.attachXdp("veth0", place), xdp],
    ] as const;
    const packets = watched.object.program("on_socket").attachPacketSocket("veth0", place);
    pair.b.ip("link", "del", "veth0");
    for (const [link, program] of links) {
      expect(link.info()).toMatchObject({ interfaceIndex: 0 });
      await isGone(link, program);
    }
    packets.close();
    expect(await errorOf(() => tcx.attachTcx("veth0", "ingress", place))).toMatchObject({ code: "NOT_FOUND" });
    expect(watched.object.links).toEqual([]);
  });

  requires({ netns: true, kernel: ">=5.9" }).test("a network namespace", async () => {
    using watched = await Watched.load("attach_sock", ["on_lookup"]);
    const program = watched.object.program("on_lookup");
    let link: Link;
    {
      using namespace = new NetNamespace();
      link = program.attachNetns(namespace.path);
    }
    await until("the kernel to let go of it", () => {
      const info = link.info();
      return info.type === "netns" && info.netnsInode === 0;
    });
    await isGone(link, program);
  });
});
