import { WorkloadError, type WorkloadSpec } from "./workload-runtime.ts";

const idPattern = /^[a-z0-9][a-z0-9_-]{0,99}$/i;
const hostnamePattern = /^(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$/i;
const maxScriptBytes = 64 * 1024;
const maxEnvironmentBytes = 256 * 1024;

/**
 * Refuses what must not reach an engine or a file name, although the control plane has checked it before:
 * a supplier's machine trusts nobody.
 * @throws WorkloadError `invalid_spec`
 */
export function validateSpec(spec: WorkloadSpec): void {
  for (const [name, id] of [
    ["lease id", spec.leaseId],
    ["cluster id", spec.clusterId],
  ] as const) {
    if (!idPattern.test(id)) {
      throw invalid(`the ${name} ${JSON.stringify(id.slice(0, 120))} has characters that an id cannot have`);
    }
  }
  for (const hostname of [spec.hostname, ...spec.peers.map((peer) => peer.hostname)]) {
    if (!hostnamePattern.test(hostname)) {
      throw invalid(`${JSON.stringify(hostname.slice(0, 80))} is not a host name`);
    }
  }
  if (!(spec.cpus > 0) || !(spec.memoryMib >= 16) || !(spec.pidsLimit >= 8)) {
    throw invalid("CPU, memory and process limits must be set: more than 0 cores, 16 MiB and 8 processes");
  }
  if (Buffer.byteLength(spec.startupScript ?? "") > maxScriptBytes) {
    throw invalid(`the startup script is longer than ${maxScriptBytes} bytes; fetch the rest from within it`);
  }
  validateEnvironment(spec.env);
}

function validateEnvironment(env: Readonly<Record<string, string>>): void {
  let totalBytes = 0;
  for (const [name, value] of Object.entries(env)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || value.includes("\0")) {
      throw invalid(`${JSON.stringify(name.slice(0, 80))} is not an environment variable`);
    }
    totalBytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 2;
  }
  if (totalBytes > maxEnvironmentBytes) {
    throw invalid(`the environment is larger than ${maxEnvironmentBytes} bytes`);
  }
}

function invalid(problem: string): WorkloadError {
  return new WorkloadError("invalid_spec", `This workload cannot be started: ${problem}.`);
}
