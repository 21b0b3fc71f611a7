import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Pack, pack } from "tar-stream";
import type { ImageContents, ImageFile } from "./base-image-files.ts";

const epoch = new Date(0);

const directories = [
  "dev",
  "etc",
  "proc",
  "root",
  "run",
  "sys",
  "tmp",
  "usr",
  "usr/bin",
  "var",
  "var/tmp",
  "workspace",
];

const texts: Readonly<Record<string, string>> = {
  "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
  "etc/group": "root:x:0:\nnogroup:x:65534:\n",
};

/** The image as one layer in tar format; the files are read while the tar is. */
export function packImage(contents: ImageContents): Readable {
  const tar = pack();
  writeEntries(tar, contents).then(
    () => tar.finalize(),
    (error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return tar;
}

async function writeEntries(tar: Pack, contents: ImageContents): Promise<void> {
  for (const name of directories) {
    const mode = name === "tmp" || name === "var/tmp" ? 0o1777 : 0o755;
    await writeEntry(tar, { name, type: "directory", mode, mtime: epoch });
  }
  for (const [name, pointsTo] of [
    ["bin", "usr/bin"],
    ["sbin", "usr/bin"],
    ["lib", "usr/lib"],
    ["lib64", "usr/lib64"],
  ] as const) {
    await writeEntry(tar, { name, type: "symlink", linkname: pointsTo, mtime: epoch });
  }
  for (const [name, text] of Object.entries(texts)) {
    tar.entry({ name, mode: 0o644, mtime: epoch }, text);
  }
  for (const file of contents.files) {
    await writeFile(tar, file);
  }
  for (const link of contents.links) {
    await writeEntry(tar, { name: link.target.slice(1), type: "symlink", linkname: link.pointsTo, mtime: epoch });
  }
}

function writeEntry(tar: Pack, header: Parameters<Pack["entry"]>[0]): Promise<void> {
  return new Promise((resolve, reject) => {
    tar.entry(header, (error) => (error ? reject(error) : resolve())).end();
  });
}

async function writeFile(tar: Pack, file: ImageFile): Promise<void> {
  const { size, mode } = await stat(file.source);
  const written = Promise.withResolvers<void>();
  const header = { name: file.target.slice(1), size, mode: mode & 0o755, mtime: epoch };
  const entry = tar.entry(header, (error) => (error ? written.reject(error) : written.resolve()));
  await pipeline(createReadStream(file.source), entry);
  await written.promise;
}
