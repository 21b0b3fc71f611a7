import { encodeCursor } from "@volley/schema";
import { afterAll, beforeAll, expect, test } from "vitest";
import { streamEvents } from "../../api/clusters/events.ts";
import { listClusters } from "../../api/clusters/list-clusters.ts";
import { loadClusterEvents } from "../../api/clusters/load-events.ts";
import { newWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld();
});
afterAll(() => world.close());

test("a cursor with a text that the database can't take is refused, not a failure of ours", async () => {
  const cluster = await world.reserve(world.quote({ nodeIds: [await world.node(1)] }));
  const holder = world.holder(cluster);
  const refused = { code: "invalid_cursor" };
  const cursor = encodeCursor({ key: "1", id: "cl_\0" });
  await expect(listClusters(holder, { limit: 10, cursor })).rejects.toMatchObject(refused);
  await expect(loadClusterEvents(holder, [cluster.id], { limit: 10, after: cursor })).rejects.toMatchObject(refused);
  const events = streamEvents(holder, { id: cluster.id, follow: false, last_event_id: "evt_\0" });
  await expect(events.next()).rejects.toMatchObject(refused);
});
