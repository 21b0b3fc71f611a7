import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NetworkIndex } from "../../api/market/index/network-index.ts";
import { appendColumns, COORDINATE_STEPS, type NodeColumns, toRecords } from "../../api/market/index/node-columns.ts";
import type { NodeRecord } from "../../api/market/index/node-record.ts";
import { networkArbitrary, recordArbitrary } from "./arbitrary-network.ts";
import { contentsOf } from "./index-contents.ts";

function rebuilt(records: Iterable<NodeRecord>): NetworkIndex {
  const index = new NetworkIndex();
  index.load(records);
  return index;
}

function toColumns(nodes: readonly NodeRecord[]): NodeColumns {
  const column = (value: (node: NodeRecord) => string | number) => Buffer.from(nodes.map(value).join("\n"));
  return {
    count: nodes.length,
    texts: {
      id: column((node) => node.id),
      supplier_class: column((node) => node.supplierClass),
      gpu: column((node) => node.gpu),
      gpus_total: column((node) => node.gpusTotal),
      gpus_free: column((node) => node.gpusFree),
      price: column((node) => node.priceMicroUsdcPerGpuHour),
      country: column((node) => node.country),
      region: column((node) => node.region),
      latitude: column((node) => Math.round(node.latitude * COORDINATE_STEPS)),
      longitude: column((node) => Math.round(node.longitude * COORDINATE_STEPS)),
      interconnect: column((node) => node.interconnect),
      fabric: column((node) => node.fabric ?? ""),
      reliability: column((node) => node.reliabilityPpm),
      isolation: column((node) => node.isolation),
      cpu_cores: column((node) => node.cpuCores),
      memory_gib: column((node) => node.memoryGib),
      disk_gib: column((node) => node.diskGib),
      status: column((node) => node.status),
    },
  };
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
        expect(contentsOf(index)).toEqual(contentsOf(rebuilt(latest.values())));
      }),
      { numRuns: 500 },
    );
  });

  test("loads what one upsert after another would make", () => {
    fc.assert(
      fc.property(networkArbitrary(30), (network) => {
        const index = new NetworkIndex();
        for (const node of network) index.upsert(node);
        expect(contentsOf(index)).toEqual(contentsOf(rebuilt(network)));
      }),
      { numRuns: 200 },
    );
  });

  test("sorts prices beyond the fast path's range as well", () => {
    fc.assert(
      fc.property(networkArbitrary(12), fc.array(fc.nat(3), { minLength: 12, maxLength: 12 }), (network, steps) => {
        const dear = network.map((node, at) => ({
          ...node,
          priceMicroUsdcPerGpuHour: 2 ** 36 + (steps[at] ?? 0),
        }));
        const index = new NetworkIndex();
        for (const node of dear) index.upsert(node);
        expect(contentsOf(rebuilt(dear))).toEqual(contentsOf(index));
      }),
      { numRuns: 50 },
    );
  });

  test("reads from columns of text what it reads from records", () => {
    fc.assert(
      fc.property(networkArbitrary(30), fc.integer({ min: 1, max: 4 }), (network, partsCount) => {
        const rounded = network.map((node) => ({
          ...node,
          // Plus zero: there is no negative zero in the database.
          latitude: Math.round(node.latitude * COORDINATE_STEPS) / COORDINATE_STEPS + 0,
          longitude: Math.round(node.longitude * COORDINATE_STEPS) / COORDINATE_STEPS + 0,
        }));
        const index = new NetworkIndex();
        for (let part = 0; part < partsCount; part++) {
          const columns = toColumns(rounded.filter((_, at) => at % partsCount === part));
          appendColumns(index, columns);
          expect(toRecords(columns)).toEqual(rounded.filter((_, at) => at % partsCount === part));
        }
        index.sortLists();
        expect(contentsOf(index)).toEqual(contentsOf(rebuilt(rounded)));
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
