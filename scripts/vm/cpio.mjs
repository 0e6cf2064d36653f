/**
 * Writes an initramfs: a cpio archive in the "newc" format, as Documentation/driver-api/early-userspace/buffer-format.rst
 * has it.
 * @param {readonly { path: string, mode: number, data?: Uint8Array }[]} entries folders before what is in them
 * @returns {Buffer} padded so that another archive may follow
 */
export function cpio(entries) {
  const parts = [...entries, { path: "TRAILER!!!", mode: 0 }].flatMap((entry, index) => {
    const data = "data" in entry && entry.data !== undefined ? entry.data : new Uint8Array();
    const name = Buffer.from(`${entry.path}\0`);
    // magic, then: ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    const fields = [index + 1, entry.mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
    const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`);
    return [padded(Buffer.concat([header, name])), padded(data)];
  });
  return Buffer.concat(parts);
}

/** @param {Uint8Array} bytes */
function padded(bytes) {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
