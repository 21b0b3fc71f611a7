/** Everything that an index says, by machine, so that two indexes can be compared whatever their rows' numbers are. */
import type { NetworkIndex } from "../../api/market/index/network-index.ts";

export function contentsOf(index: NetworkIndex) {
  const { columns } = index;
  const idsOf = (list: { rows: Uint32Array; length: number }) =>
    [...list.rows.subarray(0, list.length)].map((row) => columns.ids[row]);
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
  const lists = index.gpus.values.flatMap((gpu) => {
    const model = index.listsOf(gpu);
    if (model === undefined || model.byPrice.length === 0) return [];
    return [[gpu, { byPrice: idsOf(model.byPrice), byReliability: idsOf(model.byReliability) }] as const];
  });
  return {
    lists: Object.fromEntries(lists),
    rows: Object.fromEntries(columns.ids.map((id) => [id, describeRow(index.rowOf(id))])),
  };
}
