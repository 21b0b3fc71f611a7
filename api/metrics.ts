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
  volley_task_failures_total: metric("counter", "Tasks that failed and will be tried again.", "kind"),
  volley_supplier_errors_total: metric("counter", "Calls to suppliers that failed.", "adapter", "step"),
  volley_terminations_overdue_total: metric(
    "counter",
    "Looks at machines that were to stop more than a minute before and were still not seen to be gone.",
  ),
  volley_chain_node_calls_total: metric(
    "counter",
    "Calls to a Solana node: ok, refused, lagging or failed.",
    "node",
    "outcome",
  ),
  volley_chain_node_seconds: metric("histogram", "Time until a Solana node had answered or failed.", "node"),
  volley_chain_node_failures: metric("gauge", "Failures of a Solana node since it last answered.", "node"),
  volley_chain_node_lag_slots: metric(
    "gauge",
    "Slots that a Solana node is behind what two have reached.",
    "node",
    "commitment",
  ),
  volley_chain_quorum_failures_total: metric("counter", "Questions about which the Solana nodes did not agree."),
  volley_chain_unread_transactions_total: metric("counter", "Transactions that a node listed but could not show."),
  volley_chain_contradictions_total: metric("counter", "Transfers of which nodes told different amounts."),
  volley_chain_dropped_transfers_total: metric("counter", "Confirmed transfers that vanished and were reversed."),
  volley_chain_ledger_difference_micro_usdc: metric(
    "gauge",
    "What the treasury's account holds beyond what the ledger explains.",
  ),
  volley_alarm: metric("gauge", "1 while the alarm is raised; see docs/money.md.", "alarm"),
  volley_alarm_sightings_total: metric("counter", "Audits that found what an alarm is about.", "alarm"),
  volley_refund_attempts_dead_total: metric("counter", "Signed refunds that failed or expired and were signed anew."),
};
