/** Which way imports may point: entry → faces → domain verbs → ledger, events, db → schema. */
const domains = "market|clusters|payments|receipts|supply|identity";
const forbid = (name, comment, from, to, severity = "error") => ({ name, comment, severity, from, to });

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    forbid(
      "no-cycles",
      "Modules that need each other are one module.",
      {},
      { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    ),
    forbid(
      "schema-is-pure",
      "The contract imports nothing of ours.",
      { path: "^schema/" },
      { path: "^(api|agent|sdk|examples|test)/" },
    ),
    forbid(
      "sdk-stands-alone",
      "The SDK imports types from the contract, and the one casing function, which packing bundles.",
      { path: "^sdk/", pathNot: "^sdk/scripts/" },
      {
        path: "^(api|agent|examples|test|schema)/",
        pathNot: "^schema/casing\\.ts$",
        dependencyTypesNot: ["type-only"],
      },
    ),
    forbid(
      "agent-through-sdk",
      "The agent talks to the API only through the SDK.",
      { path: "^agent/" },
      { path: "^(api|examples|test)/" },
    ),
    forbid(
      "examples-use-the-sdk",
      "Examples see what a user sees.",
      { path: "^examples/" },
      { path: "^(api|agent|schema|test)/" },
    ),
    forbid(
      "nothing-imports-entries",
      "Entries are started, not imported.",
      { path: "^api/(?!entry/)" },
      { path: "^api/entry/" },
    ),
    forbid(
      "verbs-know-no-face",
      "A verb knows no HTTP.",
      { path: `^api/(${domains}|ledger|events|jobs|db|idempotency)/` },
      { path: "^api/(faces|entry|app\\.ts|verbs\\.ts)" },
    ),
    forbid(
      "verbs-know-no-http-library",
      "A verb knows no HTTP.",
      { path: `^api/(${domains}|ledger|events|jobs|db)/` },
      { path: "node_modules/(hono|@hono|@apollo|type-graphql|graphql)/" },
    ),
    forbid(
      "ledger-below-domains",
      "The ledger knows amounts and accounts, not clusters.",
      { path: "^api/(ledger|events|db)/", pathNot: "^api/(ledger/audit|db/seed)" },
      { path: `^api/(${domains})/`, dependencyTypesNot: ["type-only"] },
    ),
    forbid(
      "edge-safe",
      "What runs at the edge has no file system and no engine.",
      {
        path: `^api/(${domains}|ledger|events|jobs|faces|idempotency)/|^api/(app|context|verbs)\\.ts`,
        pathNot: "-file\\.ts$|faces/generate",
      },
      { path: "^(fs|node:fs|child_process|net|os)|^api/local/|^agent/" },
    ),
    forbid(
      "local-only-from-entries",
      "What the all-in-one adds is nobody else's.",
      { path: "^(api/(?!local/|entry/)|sdk|agent)" },
      { path: "^api/local/" },
    ),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)dist/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default"],
      extensions: [".ts", ".js", ".mjs", ".json"],
    },
  },
};
