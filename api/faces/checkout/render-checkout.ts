/** The hosted page of one payment, as HTML. The part that changes is a fragment of its own: it is sent anew over SSE. */
import { createHash } from "node:crypto";
import type { Money } from "@volley/schema/money";
import type { PaymentNotice } from "@volley/schema/resources/payment";
import { html, raw } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";
import { renderSVG } from "uqr";
import type { Checkout } from "../../payments/get-checkout.ts";
import { STYLE } from "./style.ts";

type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

/** Where the payment stands, in the payer's words. */
export type CheckoutState =
  | "due"
  | "partly_paid"
  | "detected"
  | "checking"
  | "paid"
  | "refunded"
  | "expired"
  | "closed";

export function stateOf({ payment, transferUrl }: Checkout): CheckoutState {
  const { status, received } = payment;
  if (status === "settled") return "paid";
  if (status === "expired" || status === "refunded") return status;
  if (status === "detected" && transferUrl === null) return "detected";
  // Its time is up, but what was sent in time may still be on its way: it isn't expired before its status says so.
  if (transferUrl === null) return payment.solana_pay === null ? "closed" : "checking";
  return isZero(received) ? "due" : "partly_paid";
}

/** Nothing more will happen that the payer waits for. */
export function isOver(state: CheckoutState): boolean {
  return state === "paid" || state === "refunded" || state === "expired" || state === "closed";
}

/** Tells the script whether what arrives is what is shown, so that nothing is replaced under a finger or a reader. */
export function shownId(stateHtml: string): string {
  return createHash("sha256").update(stateHtml).digest("base64url");
}

/** @param nonce of the page's own script and style (Content Security Policy level 3) */
export async function renderCheckout(checkout: Checkout, nonce: string): Promise<string> {
  const { id } = checkout.payment;
  const state = await renderState(checkout);
  return String(
    await html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Pay Volley</title>
<link rel="icon" href="/icon.svg">
<style nonce="${nonce}">${raw(STYLE)}</style>
${isOver(stateOf(checkout)) ? "" : html`<noscript><meta http-equiv="refresh" content="15"></noscript>`}
</head>
<body>
<header><img src="/icon.svg" alt="" width="32" height="32"><span>Volley</span></header>
<main id="checkout" data-events="/pay/${id}/events" data-shown="${shownId(state)}">${raw(state)}</main>
<p id="announcement" role="status"></p>
<footer>Payment <code>${id}</code></footer>
<script nonce="${nonce}">${raw(SCRIPT)}</script>
</body>
</html>`,
  );
}

export async function renderMissing(nonce: string): Promise<string> {
  return String(
    await html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>No such payment</title>
<style nonce="${nonce}">${raw(STYLE)}</style></head>
<body><header><img src="/icon.svg" alt="" width="32" height="32"><span>Volley</span></header>
<main><h1>There is no such payment</h1><p>The link may have been cut off. Ask for a new one where you got it.</p></main></body>
</html>`,
  );
}

/** All that can change while the page is open. */
export async function renderState(checkout: Checkout): Promise<string> {
  const { payment, subject } = checkout;
  const state = stateOf(checkout);
  return String(
    await html`<p class="subject">${subject}</p>
<h1 data-state="${state}">${amountText(state === "partly_paid" ? payment.missing : payment.amount)} <small>USDC</small></h1>
${status(checkout, state)}
${notices(payment.notices)}
${state === "paid" ? receipt(checkout) : html`${lines(checkout)}${details(checkout)}`}`,
  );
}

function status(checkout: Checkout, state: CheckoutState): Html {
  const { payment } = checkout;
  switch (state) {
    case "due":
      return html`<p class="status">Waiting for your payment. ${countdown(payment.expires_at)}</p>${request(checkout)}`;
    case "partly_paid":
      return html`<p class="status warn"><strong>${amountText(payment.received)} USDC of
${amountText(payment.amount)} arrived.</strong> Send the missing ${amountText(payment.missing)} USDC. ${countdown(payment.expires_at)}</p>${request(checkout)}`;
    case "detected":
      return html`<p class="status"><strong>Payment seen.</strong> Waiting until the network has confirmed it; this takes a few seconds.</p>`;
    case "checking":
      return html`<p class="status"><strong>The time to pay is over.</strong> Please send nothing any more. Looking once more for money that was sent in time.</p>`;
    case "paid":
      return html`<p class="status good"><strong>Paid.</strong> ${amountText(payment.received)} USDC arrived. You can close this page.</p>`;
    case "refunded":
      return html`<p class="status"><strong>Refunded.</strong> The money of this payment went back to the card.</p>`;
    case "expired":
      return html`<p class="status bad"><strong>This payment has expired.</strong> Please send nothing any more. ${isZero(payment.received) ? "Nothing was charged." : `${amountText(payment.received)} USDC arrived; they are not lost, but stay yours as credit.`}</p>`;
    default:
      return html`<p class="status">This payment is made by ${payment.rail}, not by a wallet.</p>`;
  }
}

function countdown(expiresAt: string): Html {
  return html`Time left: <time datetime="${expiresAt}" data-countdown>until ${timeText(expiresAt)}</time>`;
}

function request({ payment, transferUrl }: Checkout): Html {
  if (transferUrl === null || payment.solana_pay === null) return html``;
  const { transaction_request_url: oneTap } = payment.solana_pay;
  return html`<section class="pay" aria-label="Pay with a wallet">
<div class="qr" role="img" aria-label="QR code of the payment, to be scanned by a Solana wallet">${qr(transferUrl)}</div>
<p>Scan it with a Solana wallet, or</p>
<a class="button" href="${transferUrl}">Open in a wallet</a>
<details><summary>Or let Volley write the transaction</summary>
<div class="qr" role="img" aria-label="QR code of the transaction request">${qr(oneTap)}</div>
<a class="button quiet" href="${oneTap}">Open the transaction request</a></details>
</section>`;
}

/** Dark on white in both colour schemes: cameras expect it. */
function qr(text: string): Html {
  return raw(renderSVG(text, { ecc: "M", border: 4, pixelSize: 4 }));
}

function notices(found: readonly PaymentNotice[]): Html {
  if (found.length === 0) return html``;
  return html`<ul class="notices" aria-label="What was noticed">${found.map(({ detail }) => html`<li>${detail}</li>`)}</ul>`;
}

function lines({ lines: found, payment }: Checkout): Html {
  if (found.length === 0) return html``;
  return html`<table><caption>What it is for</caption><tbody>
${found.map(({ description, amount }) => html`<tr><th scope="row">${description}</th><td>${amountText(amount)}</td></tr>`)}
</tbody><tfoot><tr><th scope="row">Total</th><td>${amountText(payment.amount)} USDC</td></tr></tfoot></table>`;
}

/** What a payer keeps: what was paid, when, what for, and where the chain says so. */
function receipt(checkout: Checkout): Html {
  const { id, received, settled_at: at, purpose } = checkout.payment;
  return html`<section aria-labelledby="receipt"><h2 id="receipt">Receipt</h2>
<dl>
<dt>Payment</dt><dd><code>${id}</code></dd>
<dt>Paid</dt><dd>${amountText(received)} USDC${at === null ? "" : html`, <time datetime="${at}">${dateText(at)}</time>`}</dd>
</dl>
${lines(checkout)}${details(checkout)}
${purpose === "topup" ? "" : html`<p class="soft">What is not used is not charged. When the cluster has ended, whoever rents it gets a signed receipt of what was used and sent back.</p>`}
</section>`;
}

function details({ payment }: Checkout): Html {
  const { solana_pay: request, signatures } = payment;
  if (request === null && signatures.length === 0) return html``;
  return html`<dl>
${request === null ? "" : html`<dt>Recipient</dt><dd><code>${request.recipient}</code></dd><dt>Token (USDC)</dt><dd><code>${request.spl_token}</code></dd><dt>Reference</dt><dd><code>${request.reference}</code></dd>`}
${signatures.map((signature) => html`<dt>Transaction</dt><dd><code>${signature}</code></dd>`)}
</dl>`;
}

const isZero = ({ amount }: Money) => !/[1-9]/.test(amount);

/** Without the zeros that say nothing, but with cents. */
function amountText({ amount }: Money): string {
  return amount.replace(/(\.\d{2}\d*?)0+$/, "$1");
}

const timeText = (timestamp: string) => `${timestamp.slice(11, 16)} UTC`;

const dateText = (timestamp: string) => `${timestamp.slice(0, 10)} ${timeText(timestamp)}`;

/** The server renders; the script only puts in what it sends, counts down, and stops at the end. */
const SCRIPT = `
"use strict";
const main = document.getElementById("checkout");
function tick() {
  for (const time of main.querySelectorAll("[data-countdown]")) {
    const seconds = Math.max(0, Math.floor((Date.parse(time.dateTime) - Date.now()) / 1000));
    time.textContent = Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
  }
}
let shown = main.querySelector("h1").dataset.state;
tick();
setInterval(tick, 1000);
const source = new EventSource(main.dataset.events);
source.addEventListener("state", (event) => {
  const { html, over } = JSON.parse(event.data);
  if (over) source.close();
  if (event.lastEventId === main.dataset.shown) return;
  main.dataset.shown = event.lastEventId;
  const open = main.querySelector("details")?.open;
  main.innerHTML = html;
  if (open) main.querySelector("details")?.setAttribute("open", "");
  tick();
  // Only a region that was there before is read out when it changes.
  const announcement = document.getElementById("announcement");
  const said = main.querySelector(".status").textContent;
  if (main.querySelector("h1").dataset.state !== shown) announcement.textContent = said;
  shown = main.querySelector("h1").dataset.state;
});
`;
