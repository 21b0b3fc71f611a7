/**
 * The whole network in memory, made for searching: columns of numbers and, for each GPU model, its machines
 * sorted by price and by reliability. Pure data: it knows neither database nor clock.
 */
import { INTERCONNECTS, ISOLATIONS, SUPPLIER_CLASSES } from "@volley/schema/resources/market";
import { type Point, siteKey, sitePoint } from "../round-trip.ts";
import { Columns, NONE } from "./columns.ts";
import { Dictionary } from "./dictionary.ts";
import type { NodeRecord } from "./node-record.ts";
import { PostingList } from "./posting-list.ts";
import { RowTable } from "./row-table.ts";

/** The machines of one model in the two orders that searches walk. */
export interface ModelLists {
  /** Cheapest first; then the more reliable; then by id. */
  readonly byPrice: PostingList;
  /** Most reliable first; then the cheaper; then by id. */
  readonly byReliability: PostingList;
}

export interface ModelReach {
  /** One bit for each interconnect, by its place in INTERCONNECTS. */
  links: number;
  hasFabric: boolean;
  /** GPUs of the largest machine. */
  gpusMax: number;
  /** GPUs of all machines of the model that are online now. */
  gpusTotal: number;
}

const RELIABILITY_PPM_MAX = 1_000_000;

export class NetworkIndex {
  readonly columns = new Columns();
  readonly gpus = new Dictionary();
  readonly countries = new Dictionary();
  readonly regions = new Dictionary();
  readonly fabrics = new Dictionary();
  /** Points of the sites, by the number in the site column. */
  readonly sitePoints: Point[] = [];
  /** Grows with every change, so that what was worked out from the index can be kept until then. */
  version = 0;
  readonly #sites = new Map<number, number>();
  readonly #rows = new RowTable(this.columns.ids);
  readonly #models: ModelLists[] = [];
  readonly #reaches: ModelReach[] = [];

  constructor() {
    this.fabrics.code("");
  }

  get length(): number {
    return this.columns.length;
  }

  /** @returns the machine's row, or -1 when the index has no such machine */
  rowOf(id: string): number {
    return this.#rows.find(id);
  }

  /** @returns undefined when the network has never had a machine of that model */
  listsOf(gpu: string): ModelLists | undefined {
    return this.#models[this.gpus.find(gpu)];
  }

  /** What machines of the model have had, ever (but for the total): searches need not look for more than that. */
  reachOf(gpu: string): ModelReach {
    return this.#reaches[this.gpus.find(gpu)] ?? { links: 0, hasFabric: false, gpusMax: 0, gpusTotal: 0 };
  }

  /** Takes a whole network, each machine once, into an empty index. Far faster than one {@link upsert} each. */
  load(records: Iterable<NodeRecord>): void {
    if (this.length !== 0) throw new Error("only an empty index can be loaded");
    for (const record of records) this.#write(this.append(record.id), record);
    this.sortLists();
  }

  /** Brings one machine up to date, or adds it. */
  upsert(record: NodeRecord): void {
    const known = this.rowOf(record.id);
    if (known >= 0) this.#countGpus(known, -1);
    if (known < 0) {
      const row = this.append(record.id);
      this.#rows.add(row);
      this.#write(row, record);
      this.#link(row);
    } else if (this.#movesTo(known, record)) {
      this.#unlink(known);
      this.#write(known, record);
      this.#link(known);
    } else {
      this.#write(known, record);
    }
    const row = this.rowOf(record.id);
    this.#noteReach(row);
    this.#countGpus(row, 1);
    this.version++;
  }

  /** Notes GPUs that were just taken on a machine, ahead of the database's word, which overrides this. */
  take(id: string, gpus: number): void {
    const row = this.rowOf(id);
    if (row < 0) return;
    const { free } = this.columns;
    free[row] = Math.max(0, (free[row] as number) - gpus);
    this.version++;
  }

  // For loaders: rows first, then all lists at once.

  /** Makes room for that many more rows at once. */
  reserve(more: number): void {
    this.columns.reserve(this.length + more);
  }

  /** Makes an empty row. It is in no list, and not to be found by its id, until {@link sortLists}. */
  append(id: string): number {
    const row = this.columns.length;
    this.columns.reserve(row + 1);
    this.columns.ids[row] = id;
    this.columns.length = row + 1;
    return row;
  }

  /**
   * Makes the lists anew from the columns, and puts the rows themselves in the order of price, model by model: searches
   * walk that order, and read memory from one end to the other instead of here and there.
   */
  sortLists(): void {
    const { model } = this.columns;
    const counts = this.#models.map(() => 0);
    for (const reach of this.#reaches) reach.gpusTotal = 0;
    for (let row = 0; row < this.length; row++) {
      const code = model[row] as number;
      counts[code] = (counts[code] ?? 0) + 1;
      this.#noteReach(row);
      this.#countGpus(row, 1);
    }
    const rowsOf = counts.map((count) => new Uint32Array(count));
    const next = counts.fill(0);
    for (let row = 0; row < this.length; row++) {
      const code = model[row] as number;
      const at = next[code] as number;
      (rowsOf[code] as Uint32Array)[at] = row;
      next[code] = at + 1;
    }
    const order = new Uint32Array(this.length);
    let first = 0;
    for (const [code, rows] of rowsOf.entries()) {
      const { byPrice } = this.#models[code] as ModelLists;
      byPrice.replace(rows);
      order.set(byPrice.rows, first);
      first += rows.length;
    }
    this.columns.arrange(order);
    this.#rows.replace(this.length);
    first = 0;
    for (const { byPrice, byReliability } of this.#models) {
      byPrice.renumber(first);
      byReliability.replace(byPrice.rows);
      first += byPrice.length;
    }
    this.version++;
  }

  modelCode(gpu: string): number {
    const code = this.gpus.code(gpu);
    if (code === this.#models.length) {
      this.#models.push(newLists(this.columns));
      this.#reaches.push({ links: 0, hasFabric: false, gpusMax: 0, gpusTotal: 0 });
    }
    return code;
  }

  siteCode(latitude: number, longitude: number): number {
    const key = siteKey(latitude, longitude);
    const known = this.#sites.get(key);
    if (known !== undefined) return known;
    const code = this.sitePoints.length;
    this.#sites.set(key, code);
    this.sitePoints.push(sitePoint(key));
    return code;
  }

  #write(row: number, record: NodeRecord): void {
    const columns = this.columns;
    const online = record.status === "online";
    columns.model[row] = this.modelCode(record.gpu);
    columns.free[row] = online ? record.gpusFree : 0;
    columns.total[row] = online ? record.gpusTotal : 0;
    columns.price[row] = record.priceMicroUsdcPerGpuHour;
    columns.country[row] = this.countries.code(record.country);
    columns.region[row] = this.regions.code(record.region);
    columns.site[row] = this.siteCode(record.latitude, record.longitude);
    columns.interconnect[row] = INTERCONNECTS.indexOf(record.interconnect);
    columns.fabric[row] = record.fabric === null ? NONE : this.fabrics.code(record.fabric);
    columns.reliability[row] = record.reliabilityPpm;
    columns.isolation[row] = ISOLATIONS.indexOf(record.isolation);
    columns.supplierClass[row] = SUPPLIER_CLASSES.indexOf(record.supplierClass);
    columns.cpuCores[row] = record.cpuCores;
    columns.memoryGib[row] = record.memoryGib;
    columns.diskGib[row] = record.diskGib;
  }

  /** Whether the record's place in the posting lists is another than the row's. */
  #movesTo(row: number, record: NodeRecord): boolean {
    const { model, price, reliability } = this.columns;
    return (
      model[row] !== this.gpus.find(record.gpu) ||
      price[row] !== record.priceMicroUsdcPerGpuHour ||
      reliability[row] !== record.reliabilityPpm
    );
  }

  #lists(row: number): ModelLists {
    return this.#models[this.columns.model[row] as number] as ModelLists;
  }

  #noteReach(row: number): void {
    const { model, interconnect, fabric, total } = this.columns;
    const reach = this.#reaches[model[row] as number] as ModelReach;
    reach.links |= 1 << (interconnect[row] as number);
    if (fabric[row] !== NONE) reach.hasFabric = true;
    reach.gpusMax = Math.max(reach.gpusMax, total[row] as number);
  }

  #countGpus(row: number, sign: 1 | -1): void {
    const reach = this.#reaches[this.columns.model[row] as number] as ModelReach;
    reach.gpusTotal += sign * (this.columns.total[row] as number);
  }

  #link(row: number): void {
    const lists = this.#lists(row);
    lists.byPrice.insert(row);
    lists.byReliability.insert(row);
  }

  #unlink(row: number): void {
    const lists = this.#lists(row);
    lists.byPrice.remove(row);
    lists.byReliability.remove(row);
  }
}

/** The columns' arrays move when they grow, so the orders read them anew at every comparison. */
function newLists(columns: Columns): ModelLists {
  const price = (a: number, b: number) => (columns.price[a] as number) - (columns.price[b] as number);
  const reliability = (a: number, b: number) => (columns.reliability[b] as number) - (columns.reliability[a] as number);
  const id = (a: number, b: number) => ((columns.ids[a] as string) < (columns.ids[b] as string) ? -1 : 1);
  return {
    byPrice: new PostingList(
      (a, b) => price(a, b) || reliability(a, b) || id(a, b),
      (row) => columns.price[row] as number,
    ),
    byReliability: new PostingList(
      (a, b) => reliability(a, b) || price(a, b) || id(a, b),
      (row) => RELIABILITY_PPM_MAX - (columns.reliability[row] as number),
    ),
  };
}
