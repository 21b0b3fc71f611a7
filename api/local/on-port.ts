/**
 * Starts what listens on a port that an option names.
 * @throws when another program listens there, with a sentence that says what to do
 */
export async function onPort<Started>(option: string, port: number, start: () => Promise<Started>): Promise<Started> {
  try {
    return await start();
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EADDRINUSE")) throw error;
    throw new Error(`Port ${port} is taken by another program. Pass another --${option}; 0 takes a free one.`, {
      cause: error,
    });
  }
}
