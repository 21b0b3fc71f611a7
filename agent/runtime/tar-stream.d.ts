declare module "tar-stream" {
  import type { Readable, Writable } from "node:stream";

  interface Header {
    name: string;
    type?: "file" | "directory" | "symlink";
    mode?: number;
    mtime?: Date;
    size?: number;
    linkname?: string;
  }

  interface Pack extends Readable {
    entry(header: Header, callback: (error?: Error | null) => void): Writable;
    entry(header: Header, content: string, callback?: (error?: Error | null) => void): Writable;
    finalize(): void;
  }

  export function pack(): Pack;
}
