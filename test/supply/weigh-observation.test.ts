import type { Id } from "@volley/schema/ids";
import { describe, expect, test } from "vitest";
import { type KnownLease, weighOmission, weighSighting } from "../../api/supply/weigh-observation.ts";

const NOW = 1_000_000;
const ABSENCE_MS = 10_000;
const LEASE = "ls_01jmq8rx1rf3d9w4k1q3k3zzzz" as Id<"lease">;

const lease = (parts: Partial<KnownLease> = {}): KnownLease => ({
  desired: "running",
  observed: "ready",
  observedAt: NOW - 60_000,
  unseenSince: null,
  reason: null,
  exitCode: null,
  ...parts,
});
const seen = (state: "starting" | "ready" | "exited" | "failed" | "absent", parts = {}) => ({
  lease_id: LEASE,
  state,
  ...parts,
});

describe("a sighting", () => {
  test("moves a lease on, with what the machine says of it", () => {
    expect(weighSighting(lease({ observed: "none", observedAt: null }), seen("starting"), NOW)).toMatchObject({
      observed: "starting",
      observedAt: NOW,
    });
    expect(weighSighting(lease(), seen("exited", { exit_code: 3 }), NOW)).toMatchObject({
      observed: "exited",
      exitCode: 3,
    });
    expect(weighSighting(lease(), seen("failed", { reason: "out of disk\0" }), NOW)).toMatchObject({
      observed: "failed",
      reason: "out of disk",
    });
  });

  test("that was overtaken doesn't take a lease back", () => {
    expect(weighSighting(lease(), seen("starting"), NOW)).toBeNull();
    expect(weighSighting(lease({ observed: "exited" }), seen("ready"), NOW)).toBeNull();
    expect(weighSighting(lease({ observed: "failed" }), seen("exited"), NOW)).toBeNull();
  });

  test("of what was taken for absent counts again", () => {
    expect(weighSighting(lease({ observed: "absent" }), seen("ready"), NOW)).toMatchObject({ observed: "ready" });
  });

  test("that changes nothing writes nothing, but ends an absence that had begun to be counted", () => {
    expect(weighSighting(lease(), seen("ready"), NOW)).toBeNull();
    expect(weighSighting(lease({ unseenSince: NOW - 5_000 }), seen("ready"), NOW)).toEqual({ unseenSince: null });
  });

  test("keeps the reason for which a lease was stopped", () => {
    const stopped = lease({ desired: "stopped", reason: "It was stopped because rank 1 failed." });
    expect(weighSighting(stopped, seen("absent", { reason: "stopped as told" }), NOW)).toEqual({
      observed: "absent",
      observedAt: NOW,
      unseenSince: null,
    });
  });
});

describe("a heartbeat that leaves a lease out", () => {
  test("only begins to count; a later one decides, and the last sighting is kept", () => {
    const first = weighOmission(lease(), NOW, NOW - 5_000, ABSENCE_MS);
    expect(first).toEqual({ unseenSince: NOW - 5_000 });
    const unseen = lease({ unseenSince: NOW - 5_000 });
    expect(weighOmission(unseen, NOW, NOW - 5_000, ABSENCE_MS)).toBeNull();
    expect(weighOmission(unseen, NOW + 5_000, NOW, ABSENCE_MS)).toMatchObject({
      observed: "absent",
      observedAt: NOW + 5_000,
    });
  });

  test("says nothing of a lease that is to run and was never seen", () => {
    const unheard = lease({ observed: "none", observedAt: null, unseenSince: NOW - 3_600_000 });
    expect(weighOmission(unheard, NOW, NOW - 5_000, ABSENCE_MS)).toBeNull();
  });

  test("counts for one that was to stop before it was ever seen", () => {
    const stopped = lease({ desired: "stopped", observed: "none", observedAt: null });
    expect(weighOmission(stopped, NOW, NOW - 5_000, ABSENCE_MS)).toEqual({ unseenSince: NOW - 5_000 });
    expect(weighOmission({ ...stopped, unseenSince: NOW - 10_000 }, NOW, NOW - 5_000, ABSENCE_MS)).toMatchObject({
      observed: "absent",
    });
  });
});
