/** One GPU as the vendor's tool describes it. */
export interface ReportedGpu {
  /** The vendor's own index, which selects this device for a workload. */
  readonly index: number;
  readonly vendor: "nvidia" | "amd" | "apple";
  /** The product name as the vendor's tool prints it. */
  readonly name: string;
  /** What the tool reports, usually somewhat less than what the product is sold as. */
  readonly reportedVramGib: number;
  readonly uuid: string | null;
  /** PCI address such as `0000:0c:00.0`, lower case; null where there is no PCI bus. */
  readonly pciAddress: string | null;
  readonly driverVersion: string | null;
}

/** A GPU of a model that the network trades in. */
export interface DetectedGpu extends ReportedGpu {
  /** The slug of the catalogue, such as `h100-sxm-80gb`. */
  readonly model: string;
}

/** What a parser found: the usable GPUs, and in plain sentences why others were left out. */
export interface ReportedGpus {
  readonly gpus: readonly ReportedGpu[];
  readonly warnings: readonly string[];
}
