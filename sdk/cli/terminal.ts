/** What the command line needs of its surroundings; tests bring their own. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly fetch?: typeof fetch;
  /** Whether people look at stderr: then a QR code makes sense. */
  readonly isErrTty: boolean;
  /** Fires on Ctrl-C and the like; its reason is the exit code. */
  readonly signal: AbortSignal;
  /** Results. */
  out(text: string): void;
  /** Progress and errors. */
  err(text: string): void;
  readStdin(): Promise<string>;
}

/** Colours are for people who want them: https://no-color.org */
export function hasColours(terminal: Terminal): boolean {
  return terminal.isErrTty && (terminal.env.NO_COLOR ?? "") === "" && terminal.env.TERM !== "dumb";
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Text that others wrote must not move the cursor, nor turn the line around. */
export function printable(text: string): string {
  return text.replace(CONTROLS, "\ufffd");
}
