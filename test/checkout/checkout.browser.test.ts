/** The hosted page in a real browser, against the all-in-one and its chain. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Volley } from "@volley/sdk";
import { keypairSignerFromFile, payTransferRequest } from "@volley/sdk/solana";
import axe from "axe-core";
import jsQr from "jsqr";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LocalServer, startLocalServer } from "../harness/local-server.ts";

const PROGRAM = process.env.VOLLEY_CHROMIUM ?? "/usr/bin/chromium";
const hasBrowser = existsSync(PROGRAM);
if (!hasBrowser) console.warn(`Tests of the checkout page are skipped: there is no browser at ${PROGRAM}.`);

interface Pixels {
  readonly data: readonly number[];
  readonly width: number;
  readonly height: number;
}

const PHONE = { width: 390, height: 844 };

describe.skipIf(!hasBrowser)("the checkout page", () => {
  let folder: string;
  let server: LocalServer;
  let browser: Browser;
  let volley: Volley;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "volley-checkout-"));
    [server, browser] = await Promise.all([
      startLocalServer(folder),
      chromium.launch({ executablePath: PROGRAM, args: ["--no-sandbox", "--disable-dev-shm-usage"] }),
    ]);
    volley = new Volley({ baseUrl: server.local.api_url });
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  }, 60_000);

  async function reserve() {
    const quote = await volley.quotes.create({ gpu: "cpu", nodes: 1, duration: "10m" });
    return await volley.clusters.reserve({ quote });
  }

  async function open(url: string, colorScheme: "light" | "dark" = "light"): Promise<Page> {
    const context = await browser.newContext({ viewport: PHONE, colorScheme });
    const page = await context.newPage();
    page.on("console", (message) => {
      if (message.type() === "error") throw new Error(`the page says: ${message.text()}`);
    });
    await page.goto(url);
    return page;
  }

  const state = (page: Page, wanted: string) => page.locator(`h1[data-state="${wanted}"]`).waitFor({ timeout: 30_000 });
  const words = async (page: Page) => (await page.locator("main").textContent()) ?? "";

  /** What a phone's camera would read. */
  async function scan(page: Page, which = 0): Promise<string> {
    const picture = (await page.locator(".qr").nth(which).screenshot()).toString("base64");
    const blank = await page.context().newPage();
    const { data, width, height }: Pixels = await blank.evaluate(`(async () => {
      const image = await createImageBitmap(await (await fetch("data:image/png;base64,${picture}")).blob());
      const drawing = new OffscreenCanvas(image.width, image.height).getContext("2d");
      drawing.drawImage(image, 0, 0);
      const { data } = drawing.getImageData(0, 0, image.width, image.height);
      return { data: Array.from(data), width: image.width, height: image.height };
    })()`);
    await blank.close();
    return (jsQr as unknown as typeof jsQr.default)(Uint8ClampedArray.from(data), width, height)?.data ?? "";
  }

  async function pay(url: string): Promise<void> {
    const signer = await keypairSignerFromFile(server.local.payer_keypair_path);
    await payTransferRequest({ url, signer, rpcUrl: server.local.rpc_url });
  }

  async function violations(page: Page): Promise<string[]> {
    await page.evaluate(axe.source);
    const found: { id: string; nodes: { html: string }[] }[] = await page.evaluate(
      "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html }) => ({ html })) })))",
    );
    return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  }

  test("shows what is due, is paid by what its QR code says, and sees it by itself", async () => {
    const cluster = await reserve();
    const { payment } = cluster.data;
    const page = await open(payment.checkoutUrl ?? "");
    await state(page, "due");
    const shown = await words(page);
    expect(shown).toContain("0.063");
    expect(shown).toContain("1 node with 1 × cpu");
    expect(shown).toMatch(/Time left: \d:\d\d/);
    expect(shown).not.toContain(cluster.secret ?? "no secret");
    const url = await scan(page);
    expect(url).toBe(payment.solanaPay?.url);
    expect(await page.locator("a.button").first().getAttribute("href")).toBe(url);
    await page.locator("summary").click();
    const transactionRequest = await scan(page, 1);
    expect(transactionRequest).toBe(payment.solanaPay?.transactionRequestUrl);
    expect(await page.locator("a.button").nth(1).getAttribute("href")).toBe(transactionRequest);
    await pay(url);
    await state(page, "paid");
    expect(await words(page)).toContain("Paid.");
    expect(await page.locator("#announcement").textContent()).toContain("Paid.");
    expect(await page.locator(".qr").count()).toBe(0);
    const { id, signatures, settledAt } = await volley.payments.get(payment.id, {
      secret: cluster.secret ?? undefined,
    });
    const receipt = (await page.locator('section[aria-labelledby="receipt"]').textContent()) ?? "";
    for (const part of [id, "0.063 USDC", (settledAt ?? "").slice(0, 10), "Total", ...signatures]) {
      expect(receipt).toContain(part);
    }
    expect(signatures).toHaveLength(1);
    expect(await violations(page)).toEqual([]);
    if (process.env.VOLLEY_SCREENSHOTS) {
      await page.screenshot({ path: join(process.env.VOLLEY_SCREENSHOTS, "paid.png"), fullPage: true });
    }
    await cluster.teardown();
  });

  test("after a part has arrived, asks for the rest alone", async () => {
    const cluster = await reserve();
    const { payment } = cluster.data;
    const page = await open(payment.checkoutUrl ?? "");
    await state(page, "due");
    await pay((payment.solanaPay?.url ?? "").replace(/amount=[^&]*/, "amount=0.06"));
    await state(page, "partly_paid");
    expect(await words(page)).toContain("0.06 USDC of");
    const rest = await scan(page);
    expect(new URL(rest).searchParams.get("amount")).toBe("0.003");
    await pay(rest);
    await state(page, "paid");
    await cluster.teardown();
  });

  test("tells who paid too much that the surplus is credit", async () => {
    const cluster = await reserve();
    const { payment } = cluster.data;
    await pay((payment.solanaPay?.url ?? "").replace(/amount=[^&]*/, "amount=0.1"));
    const page = await open(payment.checkoutUrl ?? "");
    await state(page, "paid");
    expect(await words(page)).toMatch(/surplus|more than/i);
    await cluster.teardown();
  });

  test("asks for nothing when the payment is over, and says what became of money that came", async () => {
    const cluster = await reserve();
    const { payment } = cluster.data;
    const page = await open(payment.checkoutUrl ?? "");
    await state(page, "due");
    await cluster.teardown();
    await state(page, "expired");
    expect(await words(page)).toContain("Please send nothing any more");
    expect(await page.locator(".qr, a.button").count()).toBe(0);
  });

  test("is how the example gets paid", async () => {
    const program = spawn(process.execPath, ["examples/checkout/main.ts"], {
      env: { ...process.env, VOLLEY_LOCAL: join(folder, "local.json") },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let printed = "";
    const ended = new Promise<number | null>((resolve) => program.once("exit", resolve));
    const asked = new Promise<string>((resolve, reject) => {
      program.stderr.on("data", (piece) => {
        printed += piece;
      });
      program.stdout.on("data", (piece) => {
        printed += piece;
        const link = /Pay here: (\S+)\n/.exec(printed)?.[1];
        if (link !== undefined) resolve(link);
      });
      void ended.then(() => reject(new Error(printed)));
    });
    const page = await open(await asked);
    await state(page, "due");
    await pay(await scan(page));
    await state(page, "paid");
    expect({ code: await ended, printed }).toMatchObject({
      code: 0,
      printed: expect.stringMatching(/Paid\.\nhello from rank 0\nCharged 0\.\d{6} USDC/),
    });
  });

  test("puts nothing new in place of what is shown already", async () => {
    const cluster = await reserve();
    const context = await browser.newContext({ viewport: PHONE });
    const page = await context.newPage();
    await page.addInitScript(`
      window.kept = [];
      const Source = window.EventSource;
      window.EventSource = class extends Source {
        addEventListener(name, listener) {
          super.addEventListener(name, (event) => {
            const before = document.querySelector("h1");
            listener(event);
            window.kept.push(document.querySelector("h1") === before);
          });
        }
      };`);
    await page.goto(cluster.data.payment.checkoutUrl ?? "");
    // The page forbids evaluating text, which waiting within it would do.
    await expect.poll(() => page.evaluate("window.kept.length > 0"), { timeout: 20_000 }).toBe(true);
    expect(await page.evaluate("window.kept")).toEqual([true]);
    await cluster.teardown();
    await state(page, "expired");
    expect(await page.evaluate("window.kept")).toEqual([true, false]);
  });

  test("tells who paid too late that the money is credit", async () => {
    const cluster = await reserve();
    const { payment } = cluster.data;
    await cluster.teardown();
    await pay(payment.solanaPay?.url ?? "");
    const page = await open(payment.checkoutUrl ?? "");
    await expect
      .poll(
        async () => {
          await page.reload();
          return await words(page);
        },
        { timeout: 30_000, interval: 200 },
      )
      .toContain("0.063 USDC arrived; they are not lost, but stay yours as credit.");
    expect(await page.locator(".qr, a.button").count()).toBe(0);
  });

  test("knows a cut-off link", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const answer = await page.goto(`${server.local.api_url}/pay/pay_01`);
    expect(answer?.status()).toBe(404);
    expect(await words(page)).toContain("There is no such payment");
  });

  test.each(["light", "dark"] as const)("is accessible in %s colours", async (scheme) => {
    const cluster = await reserve();
    const page = await open(cluster.data.payment.checkoutUrl ?? "", scheme);
    await state(page, "due");
    await page.locator("summary").click();
    expect(await violations(page)).toEqual([]);
    if (process.env.VOLLEY_SCREENSHOTS) {
      await page.screenshot({ path: join(process.env.VOLLEY_SCREENSHOTS, `due-${scheme}.png`), fullPage: true });
    }
    await cluster.teardown();
    await state(page, "expired");
    expect(await violations(page)).toEqual([]);
  });

  test("works without scripts", async () => {
    const cluster = await reserve();
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(cluster.data.payment.checkoutUrl ?? "");
    expect(await page.locator("main").textContent()).toContain("Waiting for your payment");
    expect(await page.locator(".qr").count()).toBe(2);
    await cluster.teardown();
  });
});
