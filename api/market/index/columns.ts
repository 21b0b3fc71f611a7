/** The machines of the network, one typed array per field: a scan reads a few megabytes, and nothing is an object. */

/** Where a column has no value: no fabric. */
export const NONE = 0;

export class Columns {
  /** Rows in use. */
  length = 0;
  readonly ids: string[] = [];
  model = new Uint16Array(0);
  /** GPUs that can be rented now; 0 unless the machine is online. */
  free = new Uint16Array(0);
  /** GPUs that could be rented if nobody else had any; 0 unless the machine is online. */
  total = new Uint16Array(0);
  price = new Float64Array(0);
  country = new Uint16Array(0);
  region = new Uint32Array(0);
  site = new Uint32Array(0);
  /** Place in INTERCONNECTS. */
  interconnect = new Uint8Array(0);
  /** {@link NONE} for a machine on its own. */
  fabric = new Uint32Array(0);
  reliability = new Uint32Array(0);
  /** Place in ISOLATIONS. */
  isolation = new Uint8Array(0);
  /** Place in SUPPLIER_CLASSES. */
  supplierClass = new Uint8Array(0);
  cpuCores = new Uint16Array(0);
  memoryGib = new Uint32Array(0);
  diskGib = new Uint32Array(0);

  /** Makes room for that many rows. */
  reserve(rows: number): void {
    if (rows <= this.price.length) return;
    const capacity = Math.max(rows, 64, Math.ceil(this.price.length * 1.5));
    this.model = grown(Uint16Array, this.model, capacity);
    this.free = grown(Uint16Array, this.free, capacity);
    this.total = grown(Uint16Array, this.total, capacity);
    this.price = grown(Float64Array, this.price, capacity);
    this.country = grown(Uint16Array, this.country, capacity);
    this.region = grown(Uint32Array, this.region, capacity);
    this.site = grown(Uint32Array, this.site, capacity);
    this.interconnect = grown(Uint8Array, this.interconnect, capacity);
    this.fabric = grown(Uint32Array, this.fabric, capacity);
    this.reliability = grown(Uint32Array, this.reliability, capacity);
    this.isolation = grown(Uint8Array, this.isolation, capacity);
    this.supplierClass = grown(Uint8Array, this.supplierClass, capacity);
    this.cpuCores = grown(Uint16Array, this.cpuCores, capacity);
    this.memoryGib = grown(Uint32Array, this.memoryGib, capacity);
    this.diskGib = grown(Uint32Array, this.diskGib, capacity);
  }

  /** Puts the rows in another order: what was row `order[n]` becomes row `n`. */
  arrange(order: Uint32Array<ArrayBuffer>): void {
    const ids = this.ids.slice();
    for (let row = 0; row < order.length; row++) this.ids[row] = ids[order[row] as number] as string;
    this.model = arranged(Uint16Array, this.model, order);
    this.free = arranged(Uint16Array, this.free, order);
    this.total = arranged(Uint16Array, this.total, order);
    this.price = arranged(Float64Array, this.price, order);
    this.country = arranged(Uint16Array, this.country, order);
    this.region = arranged(Uint32Array, this.region, order);
    this.site = arranged(Uint32Array, this.site, order);
    this.interconnect = arranged(Uint8Array, this.interconnect, order);
    this.fabric = arranged(Uint32Array, this.fabric, order);
    this.reliability = arranged(Uint32Array, this.reliability, order);
    this.isolation = arranged(Uint8Array, this.isolation, order);
    this.supplierClass = arranged(Uint8Array, this.supplierClass, order);
    this.cpuCores = arranged(Uint16Array, this.cpuCores, order);
    this.memoryGib = arranged(Uint32Array, this.memoryGib, order);
    this.diskGib = arranged(Uint32Array, this.diskGib, order);
  }
}

/** The first elements of a typed array in another order. */
function arranged<Kind extends TypedArray>(
  make: new (length: number) => Kind,
  old: Kind,
  order: Uint32Array<ArrayBuffer>,
): Kind {
  const other = new make(order.length);
  for (let at = 0; at < order.length; at++) other[at] = old[order[at] as number] as number;
  return other;
}

type TypedArray =
  | Uint8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

/** A longer copy of a typed array. */
export function grown<Kind extends TypedArray>(make: new (length: number) => Kind, old: Kind, capacity: number): Kind {
  const longer = new make(capacity);
  longer.set(old);
  return longer;
}
