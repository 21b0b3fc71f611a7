import { afterEach, describe, expect, it } from "vitest";
import { WorkloadError, type WorkloadRuntime, type WorkloadSpec } from "../../agent/runtime/workload-runtime.ts";
import { eventually, execRequest, execute, gang, shell, workload } from "./workloads.ts";

/**
 * What every runtime owes the agent. `newRuntime` makes another instance over the same machine, as after a restart of
 * the agent.
 */
export function describeRuntime(newRuntime: () => WorkloadRuntime): void {
  const started: string[] = [];
  const runtime = () => newRuntime();

  const start = async (spec: WorkloadSpec) => {
    started.push(spec.leaseId);
    await newRuntime().start(spec);
    return spec;
  };

  const observed = async (leaseId: string) =>
    (await newRuntime().list()).find((candidate) => candidate.leaseId === leaseId);

  const readLog = async (leaseId: string, cursor: string | null, enough: (text: string) => boolean) => {
    const stop = new AbortController();
    const seen = { text: "", cursor, streams: new Set<string>() };
    for await (const chunk of newRuntime().logs(leaseId, cursor, stop.signal)) {
      seen.text += Buffer.from(chunk.data).toString();
      seen.cursor = chunk.cursor;
      seen.streams.add(chunk.stream);
      if (enough(seen.text)) {
        stop.abort();
        break;
      }
    }
    return seen;
  };

  afterEach(async () => {
    for (const leaseId of started.splice(0)) {
      await newRuntime().stop(leaseId, { graceMs: 0 });
    }
  });

  describe("start and list", () => {
    it("shows a started workload as running, with its cluster and rank", async () => {
      const spec = await start(workload({ rank: 3, worldSize: 5 }));
      expect(await observed(spec.leaseId)).toEqual({
        leaseId: spec.leaseId,
        clusterId: spec.clusterId,
        rank: 3,
        state: "running",
        exitCode: null,
      });
    });

    it("starts once, however often it is asked and by whom", async () => {
      const spec = await start(workload({ startupScript: "echo started" }));
      await Promise.all([newRuntime().start(spec), newRuntime().start(spec)]);
      await runtime().start(spec);
      expect((await runtime().list()).filter((candidate) => candidate.leaseId === spec.leaseId)).toHaveLength(1);
      await shell(runtime(), spec.leaseId, "sleep 0.2");
      const { text } = await readLog(spec.leaseId, null, (log) => log.includes("started\n"));
      expect(text).toBe("started\n");
    });

    it("does not start an exited workload again", async () => {
      const spec = await start(workload({ startupScript: "exit 7" }));
      await eventually("the workload exits", async () => (await observed(spec.leaseId))?.state === "exited");
      await runtime().start(spec);
      expect(await observed(spec.leaseId)).toMatchObject({ state: "exited", exitCode: 7 });
    });

    it("stays up after its startup script succeeded", async () => {
      const spec = await start(workload({ startupScript: "echo ready > $HOME/done" }));
      await eventually(
        "the script ran",
        async () => (await shell(runtime(), spec.leaseId, "cat $HOME/done")).exitCode === 0,
      );
      expect(await observed(spec.leaseId)).toMatchObject({ state: "running" });
    });

    it("runs a startup script by the interpreter that it names", async () => {
      const spec = await start(workload({ startupScript: "#!/usr/bin/env node\nconsole.log(6 * 7)" }));
      const { text } = await readLog(spec.leaseId, null, (log) => log.includes("\n"));
      expect(text).toBe("42\n");
    });

    it.each([
      ["a lease id that is a path", { leaseId: "../../etc" }],
      ["a host name with a space", { hostname: "rank 0" }],
      ["no memory limit", { memoryMib: 0 }],
      ["a variable that is none", { env: { "A=B": "c" } }],
      ["an endless script", { startupScript: "#".repeat(70_000) }],
    ])("refuses %s", async (_, changes) => {
      const error = await runtime()
        .start(workload(changes))
        .catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(WorkloadError);
      expect(error).toMatchObject({ code: "invalid_spec" });
    });
  });

  describe("exec", () => {
    it("gives output by stream and the exit code", async () => {
      const spec = await start(workload());
      expect(await shell(runtime(), spec.leaseId, "echo out; echo err >&2; exit 5")).toEqual({
        stdout: "out\n",
        stderr: "err\n",
        exitCode: 5,
      });
    });

    it("passes output on while the command runs", async () => {
      const spec = await start(workload());
      const abort = new AbortController();
      const request = execRequest(["sh", "-c", "echo first; exec sleep 300"], { signal: abort.signal });
      const first = await runtime().exec(spec.leaseId, request)[Symbol.asyncIterator]().next();
      expect(first.value).toMatchObject({ stream: "stdout" });
      abort.abort();
    });

    it("gives stdin to the command and ends it", async () => {
      const spec = await start(workload());
      const stdin = Buffer.from("one\ntwo\n".repeat(20_000));
      const result = await execute(runtime(), spec.leaseId, execRequest(["wc", "-l"], { stdin }));
      expect([result.stdout.trim(), result.exitCode]).toEqual(["40000", 0]);
    });

    it("has the workload's variables and the command's own", async () => {
      const spec = await start(workload({ rank: 1, worldSize: 4, env: { RENTER: "yes" } }));
      const command = [
        "sh",
        "-c",
        'echo "$VOLLEY_RANK/$VOLLEY_WORLD_SIZE $RENTER $EXTRA"; test -n "$MASTER_ADDR" && test -n "$MASTER_PORT"',
      ];
      const result = await execute(runtime(), spec.leaseId, execRequest(command, { env: { EXTRA: "more" } }));
      expect(result).toMatchObject({ stdout: "1/4 yes more\n", exitCode: 0 });
    });

    it("does not let the renter replace the variables that we set", async () => {
      const spec = await start(workload({ env: { VOLLEY_RANK: "99" } }));
      expect((await shell(runtime(), spec.leaseId, "echo $VOLLEY_RANK")).stdout).toBe("0\n");
    });

    it("ends a command that the machine does not have with 127", async () => {
      const spec = await start(workload());
      const result = await execute(runtime(), spec.leaseId, execRequest(["volley-no-such-program"]));
      expect(result.exitCode).toBe(127);
      expect(result.stderr).toContain("volley-no-such-program");
    });

    it("keeps bytes that are no text", async () => {
      const spec = await start(workload());
      const pieces: Uint8Array[] = [];
      for await (const event of runtime().exec(spec.leaseId, execRequest(["printf", "\\000\\377\\001"]))) {
        if ("data" in event) {
          pieces.push(event.data);
        }
      }
      expect([...Buffer.concat(pieces)]).toEqual([0, 255, 1]);
    });

    it("passes two mebibytes on whole", async () => {
      const spec = await start(workload());
      const result = await shell(runtime(), spec.leaseId, "seq 1000001 1262144 | head -c 2097152");
      expect(result).toMatchObject({ stderr: "", exitCode: 0 });
      expect(result.stdout.length).toBe(2_097_152);
    });

    it("ends with the command, although something in the background holds its output", async () => {
      const spec = await start(workload());
      const result = await shell(runtime(), spec.leaseId, "setsid sleep 4321 & echo done");
      expect(result).toMatchObject({ stdout: "done\n", exitCode: 0 });
    });

    it("ends all processes of an aborted command, also those in the background", async () => {
      const spec = await start(workload());
      const abort = new AbortController();
      const script = "sleep 4321 & setsid sleep 4321 & sleep 0.2; echo up; exec sleep 4321";
      const request = execRequest(["sh", "-c", script], { signal: abort.signal });
      const running = (async () => {
        for await (const _ of runtime().exec(spec.leaseId, request)) {
          abort.abort(new Error("cancelled by the test"));
        }
      })();
      await expect(running).rejects.toThrow("cancelled by the test");
      await eventually("no process of the command is left", async () => (await countSleeps(spec.leaseId)) === 0);
    });

    it("lets another agent process end a command by its id", async () => {
      const spec = await start(workload());
      const request = execRequest(["sh", "-c", "sleep 4321 & exec sleep 4321"]);
      const running = execute(runtime(), spec.leaseId, request);
      await eventually("the command runs", async () => (await countSleeps(spec.leaseId)) === 2);
      await newRuntime().killExec(spec.leaseId, request.execId);
      expect((await running).exitCode).toBe(137);
      expect(await countSleeps(spec.leaseId)).toBe(0);
    });

    const countSleeps = async (leaseId: string) => {
      const script = `n=0; for f in /proc/[0-9]*/cmdline; do
        if tr '\\0' ' ' < $f 2>/dev/null | grep -q '^sleep 4321' && grep -q "VOLLEY_LEASE_ID=$VOLLEY_LEASE_ID" "\${f%cmdline}environ" 2>/dev/null
        then n=$((n+1)); fi; done; echo $n`;
      return Number((await shell(runtime(), leaseId, script)).stdout);
    };

    it("refuses when the workload is not there or has exited", async () => {
      const spec = await start(workload({ startupScript: "exit 1" }));
      await eventually("the workload exits", async () => (await observed(spec.leaseId))?.state === "exited");
      for (const leaseId of [spec.leaseId, "ls_nobody"]) {
        await expect(shell(runtime(), leaseId, "true")).rejects.toMatchObject({ code: "not_running" });
      }
    });
  });

  describe("logs", () => {
    it("gives both streams, from the start and as they come", async () => {
      const spec = await start(workload({ startupScript: "echo one; echo two >&2; sleep 0.3; echo three" }));
      const { text, streams } = await readLog(spec.leaseId, null, (log) => log.includes("three\n"));
      expect(text.split("\n").sort()).toEqual(["", "one", "three", "two"]);
      expect([...streams].sort()).toEqual(["stderr", "stdout"]);
    });

    it("goes on after a cursor without loss or repetition", async () => {
      const spec = await start(
        workload({
          startupScript: "for i in 1 2 3 4 5 6; do echo line $i; sleep 0.05; done; while :; do sleep 1; done",
        }),
      );
      const first = await readLog(spec.leaseId, null, (log) => log.includes("line 2\n"));
      const second = await readLog(spec.leaseId, first.cursor, (log) => log.includes("line 4\n"));
      const third = await readLog(spec.leaseId, second.cursor, (log) => log.includes("line 6\n"));
      expect(first.text + second.text + third.text).toBe("line 1\nline 2\nline 3\nline 4\nline 5\nline 6\n");
    });

    it("ends when the workload has, with its last words", async () => {
      const spec = await start(workload({ startupScript: "echo last words; exit 3" }));
      const { text } = await readLog(spec.leaseId, null, () => false);
      expect(text).toBe("last words\n");
    });

    it("is empty for a workload that is not there", async () => {
      expect((await readLog("ls_nobody", null, () => false)).text).toBe("");
    });
  });

  describe("stop", () => {
    it("leaves nothing, and may be repeated", async () => {
      const [first, second] = gang(2);
      if (first === undefined || second === undefined) {
        throw new Error("a gang of two has two ranks");
      }
      await Promise.all([start(first), start(second)]);
      await Promise.all([first, second].map((spec) => runtime().stop(spec.leaseId, { graceMs: 1_000 })));
      expect(await observed(first.leaseId)).toBeUndefined();
      expect(await observed(second.leaseId)).toBeUndefined();
      await runtime().stop(first.leaseId, { graceMs: 1_000 });
    });

    it("lets the startup script react to SIGTERM", async () => {
      const spec = await start(
        workload({ startupScript: "trap 'echo farewell; exit 0' TERM; echo up; while :; do sleep 0.05; done" }),
      );
      const log = readLog(spec.leaseId, null, (text) => text.includes("farewell"));
      await eventually("the script is up", async () => {
        const { text } = await readLog(spec.leaseId, null, (seen) => seen.includes("up"));
        return text.includes("up");
      });
      const beforeRemoval = async () => void (await log);
      await runtime().stop(spec.leaseId, { graceMs: 5_000, beforeRemoval });
      expect((await log).text).toContain("farewell");
    });

    it("kills what does not react in time", async () => {
      const spec = await start(workload({ startupScript: "trap '' TERM; echo deaf; while :; do sleep 0.05; done" }));
      await readLog(spec.leaseId, null, (text) => text.includes("deaf"));
      await runtime().stop(spec.leaseId, { graceMs: 1_000 });
      expect(await observed(spec.leaseId)).toBeUndefined();
    });

    it("ends commands that run in the workload", async () => {
      const spec = await start(workload());
      const running = execute(runtime(), spec.leaseId, execRequest(["sleep", "4321"])).catch(() => "ended");
      await eventually("the command runs", async () => (await shell(runtime(), spec.leaseId, "true")).exitCode === 0);
      await runtime().stop(spec.leaseId, { graceMs: 500 });
      await running;
    });
  });
}
