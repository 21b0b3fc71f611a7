/** A tool of the GPU vendor answered something that we cannot read. The message says which tool and what was wrong. */
export class InventoryError extends Error {
  override readonly name = "InventoryError";
  readonly tool: string;

  constructor(tool: string, problem: string) {
    super(`${tool}: ${problem}`);
    this.tool = tool;
  }
}
