/**
 * The main command of a workload. Without a script it waits; with one it runs the script as a child, passes SIGTERM
 * on to it, exits with its code when that is not 0, and otherwise stays up so that the renter can go on with exec.
 * A script that begins with `#!` is run by its own interpreter.
 */
export function startupCommand(script: string | null, scratchDirectory: string): readonly string[] {
  if (script === null || script.trim() === "") {
    return ["tail", "-f", "/dev/null"];
  }
  const run = script.startsWith("#!")
    ? [
        `file="${scratchDirectory}/volley-startup"`,
        `printf '%s\\n' "$1" > "$file" && chmod 700 "$file" || exit 126`,
        '"$file" &',
      ]
    : ['sh -c "$1" &'];
  const supervise = [
    ...run,
    "child=$!",
    `trap 'kill -TERM "$child" 2>/dev/null; wait "$child"; exit $?' TERM INT`,
    `wait "$child"`,
    "code=$?",
    `[ "$code" -eq 0 ] || exit "$code"`,
    "trap - TERM INT",
    "exec tail -f /dev/null",
  ].join("\n");
  return ["sh", "-c", supervise, "volley-startup", script];
}
