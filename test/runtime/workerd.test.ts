/** The same contract, kept by the Worker in workerd, with Postgres behind Hyperdrive and the development chain. */
import { contractSuite } from "../contract/suite.ts";
import { createWorkerApp } from "./worker-app.ts";

contractSuite(createWorkerApp);
