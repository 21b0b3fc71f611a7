/** Counters, gauges and histograms by name. Names and labels are declared in `api/metrics.ts`. */
export type Labels = Readonly<Record<string, string>>;

export interface Metrics {
  count(name: string, labels?: Labels, by?: number): void;
  gauge(name: string, value: number, labels?: Labels): void;
  observe(name: string, seconds: number, labels?: Labels): void;
  /** Prometheus text exposition format. */
  render(): Promise<string>;
}
