/** Every metric that Volley keeps: its kind, what it counts, and its labels. */
interface MetricEntry {
  readonly kind: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
}

const metric = (kind: MetricEntry["kind"], help: string, ...labels: string[]): MetricEntry => ({ kind, help, labels });

export const METRICS: Readonly<Record<string, MetricEntry>> = {
  volley_http_request_seconds: metric(
    "histogram",
    "Time until the answer, or the head of a stream, was ready.",
    "operation",
    "status",
  ),
  volley_errors_total: metric("counter", "Errors answered, by code of the registry.", "operation", "code"),
  volley_streams_open: metric("gauge", "Event streams open now."),
  volley_task_failures_total: metric("counter", "Tasks that failed and will be tried again.", "kind"),
  volley_supplier_errors_total: metric("counter", "Calls to suppliers that failed.", "adapter", "step"),
  volley_terminations_overdue_total: metric(
    "counter",
    "Looks at machines that were to stop more than a minute before and were still not seen to be gone.",
  ),
};
