/** The contract, kept by the server as a Node process. */
import { createTestApp } from "../harness/app.ts";
import { contractSuite } from "./suite.ts";

contractSuite(createTestApp);
