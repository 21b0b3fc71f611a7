/**
 * Waits until everything that one event set off has come to rest, so that the next event meets the same state in every
 * run of a seed. Code at rest waits for a port, and the ports answer only when the timeline says so.
 *
 * WebCrypto is the one thing that works on threads of its own outside the ports: its calls are counted, and run one
 * after the other in the order in which they were made.
 */
const METHODS = [
  "decrypt",
  "deriveBits",
  "deriveKey",
  "digest",
  "encrypt",
  "exportKey",
  "generateKey",
  "importKey",
  "sign",
  "unwrapKey",
  "verify",
  "wrapKey",
] as const;

type Call = (...parameters: unknown[]) => Promise<unknown>;

let open = 0;
let last: Promise<unknown> = Promise.resolve();
let installed = false;

function inOrder(call: () => Promise<unknown>): Promise<unknown> {
  open += 1;
  const answer = last.then(call);
  const finished = () => {
    open -= 1;
  };
  last = answer.then(finished, finished);
  return answer;
}

/** Changes this process for good; a second call does nothing. */
export function orderWebCrypto(): void {
  if (installed) return;
  installed = true;
  const methods = SubtleCrypto.prototype as unknown as Record<(typeof METHODS)[number], Call>;
  for (const name of METHODS) {
    const real = methods[name];
    methods[name] = function ordered(this: unknown, ...parameters: unknown[]) {
      return inOrder(() => real.apply(this, parameters));
    };
  }
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Turns of the event loop without open work after which the process counts as at rest. */
const QUIET_TURNS = 2;

export async function untilQuiet(): Promise<void> {
  for (let quiet = 0; quiet < QUIET_TURNS; quiet = open === 0 ? quiet + 1 : 0) await nextTurn();
}
