/** Whole parts that are away for hours, as they are some day in every month. */
import type { Faults } from "./faults.ts";
import type { World } from "./world.ts";

const HOUR_MS = 3_600_000;
const BETWEEN_MS = { least: 8 * HOUR_MS, most: 40 * HOUR_MS };
const LASTING_MS = { least: HOUR_MS, most: 4 * HOUR_MS };

/** What is different while a part answers nobody. */
const AWAY = {
  signer: { signerUnavailable: 1 },
  chain: { chainHangs: 1 },
  "card processor": { cardsLostRequest: 1 },
} as const satisfies Readonly<Record<string, Partial<Faults>>>;
const PARTS = Object.keys(AWAY) as (keyof typeof AWAY)[];

/** @returns lets no outage follow; whoever ends the storm ends the one that is on */
export function beginOutages(world: World, faults: Faults): () => void {
  const random = world.random.stream("outages");
  let isOver = false;
  const plan = (): void => {
    world.timeline.after(random.whole(BETWEEN_MS.least, BETWEEN_MS.most), () => {
      if (isOver) return;
      const part = random.pick(PARTS);
      world.count(`outage of the ${part}`);
      world.timeline.note(`the ${part} is away`);
      world.weather({ ...faults, ...AWAY[part] });
      world.timeline.after(random.whole(LASTING_MS.least, LASTING_MS.most), () => {
        if (isOver) return;
        world.timeline.note(`the ${part} is back`);
        world.weather(faults);
        plan();
      });
    });
  };
  plan();
  return () => {
    isOver = true;
  };
}
