/** A facilitator is somebody else's server, and its answers are read by the process that holds our keys. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { httpFacilitator } from "../../api/adapters/http-facilitator.ts";
import { FacilitatorError } from "../../api/ports/facilitator.ts";

const CHUNK = Buffer.alloc(65_536, 0x20);
const CHUNKS_MAX = 2_000;

test("an answer without an end is not read to its end", async () => {
  let sent = 0;
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    const more = () => {
      while (!response.destroyed && sent < CHUNKS_MAX) {
        sent++;
        if (!response.write(CHUNK)) return;
      }
      if (sent >= CHUNKS_MAX) response.end();
    };
    response.on("drain", more);
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const order = { transactionBase64: "AA==", requirements: {} } as never;
    const settling = httpFacilitator(`http://127.0.0.1:${port}`, null).settle(order);
    await expect(settling).rejects.toThrow(FacilitatorError);
    expect(sent).toBeLessThan(CHUNKS_MAX);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
