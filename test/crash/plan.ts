/** A fate that does one thing to one call, and notes which calls were made in which state of the world. */
import { createHash } from "node:crypto";
import type { CallRates, Fate, SimulatedProcess, Verdict } from "../simulation/process.ts";
import type { World } from "../simulation/world.ts";

export interface Stroke {
  /** The call's number, from 0. */
  readonly call: number;
  readonly verdict: Verdict;
}

export interface MadeCall {
  readonly label: string;
  /** Of the world in which it was made, as far as a rental can tell; empty unless the plan was to look. */
  readonly state: string;
  /** Whether it may change something outside of the process that the process's death doesn't undo. */
  readonly mayLast: boolean;
}

/** Statements that change something when they stand alone. */
const WRITES =
  /^sql (insert|update|delete|with due|select (wake|reserve_cluster|release_leases|append_event|ledger_))/i;
const OUTSIDE = /^(rpc sendTransaction|supplier (launch|terminate))/;

export class Plan implements Fate {
  readonly calls: MadeCall[] = [];
  readonly look?: () => Promise<void>;
  readonly #stroke: Stroke | null;
  #state = "";
  #isInTransaction = false;

  /** @param recorded the world whose state is noted with each call; null to save the time */
  constructor(stroke: Stroke | null, recorded: World | null) {
    this.#stroke = stroke;
    if (recorded !== null) {
      this.look = async () => {
        this.#state = await stateOf(recorded);
      };
    }
  }

  decide(label: string, _process: SimulatedProcess, _rates: CallRates | undefined): Verdict {
    const mayLast = label === "sql COMMIT" || OUTSIDE.test(label) || (!this.#isInTransaction && WRITES.test(label));
    if (label.startsWith("sql BEGIN")) this.#isInTransaction = true;
    if (label === "sql COMMIT" || label === "sql ROLLBACK") this.#isInTransaction = false;
    const call = this.calls.push({ label, state: this.#state, mayLast }) - 1;
    return this.#stroke?.call === call ? this.#stroke.verdict : "works";
  }

  latencyMs(): number {
    return 2;
  }

  answerDelayMs(): number {
    return 0;
  }
}

const STATE = `
  SELECT string_agg(part, ';' ORDER BY part) AS state FROM (
    SELECT concat_ws(' ', 'cluster', status, status_reason, bill IS NULL, event_sequence) AS part FROM clusters
    UNION ALL SELECT concat_ws(' ', 'payment', purpose, status, received_micro_usdc) FROM payments
    UNION ALL SELECT concat_ws(' ', 'lease', rank, desired, observed, released_at IS NULL) FROM leases
    UNION ALL SELECT concat_ws(' ', 'refund', status) FROM refunds
    UNION ALL SELECT concat_ws(' ', 'attempt', attempt, dead_at IS NULL) FROM refund_attempts
    UNION ALL SELECT concat_ws(' ', 'inbound', finality, amount_micro_usdc, payment_id IS NULL) FROM inbound_transfers
    UNION ALL SELECT concat_ws(' ', 'task', kind, lock_token IS NULL, attempts) FROM tasks
    UNION ALL SELECT concat_ws(' ', 'transfers', count(*)) FROM transfers
    UNION ALL SELECT concat_ws(' ', 'keys', count(*), count(response)) FROM idempotency_keys
    UNION ALL SELECT concat_ws(' ', 'sponsored', status) FROM sponsored_transactions
    UNION ALL SELECT concat_ws(' ', 'signings', count(*)) FROM treasury_signings
    UNION ALL SELECT concat_ws(' ', 'card', status, revision, maturing_micro_usdc) FROM card_payments
    UNION ALL SELECT concat_ws(' ', 'card events', count(*)) FROM card_events
    UNION ALL SELECT concat_ws(' ', 'receipts', count(*)) FROM receipts
    UNION ALL SELECT concat_ws(' ', 'notices', count(*)) FROM payment_notices
    UNION ALL SELECT concat_ws(' ', 'sessions', count(*)) FROM sessions
  ) AS parts`;

async function stateOf(world: World): Promise<string> {
  const [row] = await world.database.direct.unsafe<{ state: string }[]>(STATE, [], { prepare: true });
  const machines = world.machines.alive.map((machine) => machine.state).sort();
  const landed = world.chain.now.state.history.all.length;
  return createHash("sha256")
    .update(JSON.stringify([row?.state, machines, landed]))
    .digest("hex")
    .slice(0, 16);
}
