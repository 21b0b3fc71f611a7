import type { Clock } from "../ports.ts";
import { WorkloadError, type WorkloadRuntime, type WorkloadSpec } from "../runtime/workload-runtime.ts";

const probeTimeoutMs = 60_000;
const attemptTimeoutMs = 15_000;
const retryMs = 200;

/**
 * Proves from inside that a workload is ready: a command runs, it has its place in the cluster, and exactly the leased
 * GPUs are there. Metering begins with this, so it is never taken for granted.
 * @throws WorkloadError `start_failed` with what the last attempt said, when it does not become ready in a minute.
 */
export async function probeWorkload(
  runtime: WorkloadRuntime,
  spec: WorkloadSpec,
  options: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  const { clock, signal } = options;
  const deadlineMs = clock.monotonicMs() + probeTimeoutMs;
  for (let attempt = 0; ; attempt++) {
    const problem = await tryProbe(runtime, spec, `${spec.leaseId}-probe-${attempt}`, signal);
    if (problem === null) {
      return;
    }
    if (clock.monotonicMs() >= deadlineMs) {
      throw new WorkloadError("start_failed", `The workload did not become ready: ${problem}`);
    }
    await clock.sleep(retryMs, signal);
    signal.throwIfAborted();
  }
}

async function tryProbe(
  runtime: WorkloadRuntime,
  spec: WorkloadSpec,
  execId: string,
  signal: AbortSignal,
): Promise<string | null> {
  const request = {
    execId,
    command: ["sh", "-c", probeScript(runtime.kind, spec)],
    stdin: null,
    env: {},
    signal: AbortSignal.any([signal, AbortSignal.timeout(attemptTimeoutMs)]),
  };
  let said = "";
  try {
    for await (const event of runtime.exec(spec.leaseId, request)) {
      if ("exitCode" in event) {
        return event.exitCode === 0 ? null : said.trim() || `the probe ended with exit code ${event.exitCode}`;
      }
      said = (said + Buffer.from(event.data).toString()).slice(0, 500);
    }
  } catch (error) {
    signal.throwIfAborted();
    return error instanceof Error ? error.message : String(error);
  }
  return "the probe ended without an exit code";
}

function probeScript(kind: WorkloadRuntime["kind"], spec: WorkloadSpec): string {
  const checks = [
    `[ "$VOLLEY_RANK" = ${spec.rank} ] || { echo "VOLLEY_RANK is not ${spec.rank}"; exit 1; }`,
    `[ "$VOLLEY_WORLD_SIZE" = ${spec.worldSize} ] || { echo "VOLLEY_WORLD_SIZE is not ${spec.worldSize}"; exit 1; }`,
    `[ -n "$MASTER_ADDR" ] && [ -n "$MASTER_PORT" ] || { echo "MASTER_ADDR or MASTER_PORT is missing"; exit 1; }`,
  ];
  if (kind === "container") {
    checks.push(...deviceChecks(spec));
  }
  return checks.join("\n");
}

function deviceChecks(spec: WorkloadSpec): readonly string[] {
  const count = (vendor: "nvidia" | "amd") => spec.gpus.filter((gpu) => gpu.vendor === vendor).length;
  return [
    { wanted: count("nvidia"), files: "/dev/nvidia[0-9]*" },
    { wanted: count("amd"), files: "/dev/dri/renderD*" },
  ]
    .filter(({ wanted }) => wanted > 0)
    .map(
      ({ wanted, files }) =>
        `seen=0; for file in ${files}; do [ -e "$file" ] && seen=$((seen+1)); done; ` +
        `[ "$seen" = ${wanted} ] || { echo "$seen of ${wanted} GPUs are visible in the container"; exit 1; }`,
    );
}
