import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NetworkIndex } from "../../api/market/index/network-index.ts";
import type { NodeRecord } from "../../api/market/index/node-record.ts";
import { GPUS, networkArbitrary, recordArbitrary } from "./arbitrary-network.ts";

function contents(index: NetworkIndex) {
  const { columns } = index;
  const idsOf = (list: { rows: Uint32Array; length: number } | undefined) =>
    list === undefined ? [] : [...list.rows.subarray(0, list.length)].map((row) => columns.ids[row]);
  const describeRow = (row: number) => ({
    gpu: index.gpus.values[columns.model[row] ?? -1],
    free: columns.free[row],
    total: columns.total[row],
    price: columns.price[row],
    country: index.countries.values[columns.country[row] ?? -1],
    region: index.regions.values[columns.region[row] ?? -1],
    point: index.sitePoints[columns.site[row] ?? -1],
    fabric: index.fabrics.values[columns.fabric[row] ?? -1],
    rest: [
      columns.interconnect[row],
      columns.reliability[row],
      columns.isolation[row],
      columns.supplierClass[row],
      columns.cpuCores[row],
      columns.memoryGib[row],
      columns.diskGib[row],
    ],
  });
  return {
    lists: GPUS.map((gpu) => [idsOf(index.listsOf(gpu)?.byPrice), idsOf(index.listsOf(gpu)?.byReliability)]),
    rows: Object.fromEntries(columns.ids.map((id) => [id, describeRow(index.rowOf(id))])),
  };
}

function rebuilt(records: Iterable<NodeRecord>): NetworkIndex {
  const index = new NetworkIndex();
  index.load(records);
  return index;
}

describe("the index", () => {
  test("after any changes equals one that is built anew", () => {
    fc.assert(
      fc.property(networkArbitrary(30), fc.array(recordArbitrary, { maxLength: 60 }), (network, changes) => {
        const index = rebuilt(network);
        const latest = new Map(network.map((node) => [node.id, node]));
        for (const change of changes) {
          index.upsert(change);
          latest.set(change.id, change);
        }
        expect(contents(index)).toEqual(contents(rebuilt(latest.values())));
      }),
      { numRuns: 500 },
    );
  });

  test("loads what one upsert after another would make", () => {
    fc.assert(
      fc.property(networkArbitrary(30), (network) => {
        const index = new NetworkIndex();
        for (const node of network) index.upsert(node);
        expect(contents(index)).toEqual(contents(rebuilt(network)));
      }),
      { numRuns: 200 },
    );
  });

  test("GPUs that were just taken are gone, and never below none", () => {
    fc.assert(
      fc.property(networkArbitrary(5), fc.integer({ min: 1, max: 20 }), (network, gpus) => {
        const index = rebuilt(network);
        const node = network[0] as NodeRecord;
        const before = index.columns.free[index.rowOf(node.id)] as number;
        index.take(node.id, gpus);
        expect(index.columns.free[index.rowOf(node.id)]).toBe(Math.max(0, before - gpus));
        index.take("nd_unknown", gpus);
        expect(index.length).toBe(network.length);
      }),
      { numRuns: 100 },
    );
  });

  test("refuses to load over what it holds", () => {
    fc.assert(
      fc.property(networkArbitrary(2), (network) => {
        expect(() => rebuilt(network).load(network)).toThrow("empty");
      }),
      { numRuns: 2 },
    );
  });
});
