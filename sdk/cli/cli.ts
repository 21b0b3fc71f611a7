/** What every command works with: the client, the credentials, and the two ways to print. */
import { toSnakeCaseKeys } from "@volley/schema/casing";
import { Volley } from "../client.ts";
import { ClusterHandle } from "../cluster-handle.ts";
import type { Cluster } from "../generated.ts";
import { hasEnded } from "../stream-ends.ts";
import { CliError, EXIT } from "./exit-codes.ts";
import { type Args, textOf } from "./flags.ts";
import { type KnownCluster, Store } from "./store.ts";
import { printable, type Terminal } from "./terminal.ts";

const API_URL_LOCAL = "http://127.0.0.1:8787";

export class Cli {
  readonly terminal: Terminal;
  readonly store: Store;
  readonly isJson: boolean;
  readonly apiUrl: string;
  readonly #token: string | undefined;

  private constructor(terminal: Terminal, store: Store, isJson: boolean, apiUrl: string, token: string | undefined) {
    this.terminal = terminal;
    this.store = store;
    this.isJson = isJson;
    this.apiUrl = apiUrl;
    this.#token = token;
  }

  static async open(terminal: Terminal, args: Args): Promise<Cli> {
    const store = new Store(terminal.env);
    const apiUrl = textOf(args, "api-url") ?? (terminal.env.VOLLEY_API_URL || API_URL_LOCAL);
    if (!/^https?:\/\//.test(apiUrl) || !URL.canParse(apiUrl)) {
      throw new CliError(EXIT.usage, `The API's URL must begin with http:// or https://, not "${apiUrl}".`);
    }
    const given = textOf(args, "token") ?? (terminal.env.VOLLEY_TOKEN || undefined);
    const session = given === undefined ? await store.readSession() : null;
    const token = session?.apiUrl === apiUrl ? session.token : given;
    return new Cli(terminal, store, args.values.json === true, apiUrl, token);
  }

  get signal(): AbortSignal {
    return this.terminal.signal;
  }

  get hasToken(): boolean {
    return this.#token !== undefined;
  }

  /** With the account's credential, if there is one. */
  client(): Volley {
    return new Volley({ baseUrl: this.apiUrl, apiKey: this.#token, fetch: this.terminal.fetch });
  }

  /** A line of progress. */
  say(line: string): void {
    this.terminal.err(`${line}\n`);
  }

  /** The result: as the API writes it for scripts, else as text for people. */
  answer(value: unknown, text: () => string): void {
    this.terminal.out(this.isJson ? `${JSON.stringify(toSnakeCaseKeys(value))}\n` : `${text()}\n`);
  }

  async known(): Promise<KnownCluster[]> {
    return (await this.store.listClusters()).filter(({ apiUrl }) => apiUrl === this.apiUrl);
  }

  /** Called as soon as there is a cluster, before it is paid: money must never be beyond reach. */
  async remember(cluster: Cluster): Promise<void> {
    await this.store.keepCluster({
      id: cluster.id,
      secret: cluster.secret,
      apiUrl: this.apiUrl,
      paymentIds: [cluster.payment.id],
      name: cluster.name ?? null,
      reservedAt: cluster.createdAt,
      hasEnded: false,
    });
  }

  async rememberPayment(clusterId: string, paymentId: string): Promise<void> {
    const known = (await this.known()).find(({ id }) => id === clusterId);
    if (known) await this.store.keepCluster({ ...known, paymentIds: [...known.paymentIds, paymentId] });
  }

  async rememberEnd(clusterId: string): Promise<void> {
    const known = (await this.known()).find(({ id }) => id === clusterId);
    if (known) await this.store.keepCluster({ ...known, hasEnded: true });
  }

  /** The secret that opens what these values name: a cluster, or a payment of it. */
  async secretFor(values: readonly unknown[]): Promise<string | undefined> {
    const known = await this.known();
    const match = known.find(({ id, paymentIds }) =>
      values.some((value) => value === id || paymentIds.includes(String(value))),
    );
    return match?.secret ?? undefined;
  }

  /**
   * A cluster by its id or its name; without either, the only one that is alive.
   * @throws {CliError} when there is none, or more than one
   */
  async cluster(which: string | undefined): Promise<ClusterHandle> {
    const known = await this.known();
    const matches = known.filter(({ id, name, hasEnded: isOver }) =>
      which === undefined ? !isOver : id === which || (name === which && !isOver),
    );
    const [match, ...others] = matches;
    if (match === undefined) return this.#unknownCluster(which);
    if (others.length > 0) {
      const ids = matches.map(({ id }) => id).join(", ");
      throw new CliError(EXIT.usage, `More than one cluster could be meant: ${ids}.`, "Name one by its id.");
    }
    return this.open(match.id, match.secret);
  }

  async open(id: string, secret: string | null): Promise<ClusterHandle> {
    const client = this.client();
    if (secret !== null) return client.clusters.attach(id, secret, { signal: this.signal });
    return new ClusterHandle(client, await client.clusters.get(id, { signal: this.signal }), null);
  }

  async #unknownCluster(which: string | undefined): Promise<ClusterHandle> {
    if (which?.startsWith("cl_")) return this.open(which, null);
    throw new CliError(
      EXIT.notFound,
      which === undefined
        ? "No cluster is running that was rented from here."
        : `No cluster "${printable(which)}" was rented from here.`,
      "See `volley ps`, or give the cluster's id and VOLLEY_TOKEN.",
    );
  }

  async noteEnd(cluster: Cluster): Promise<void> {
    if (hasEnded(cluster) || cluster.status === "stopping") await this.rememberEnd(cluster.id);
  }
}
