import type { Event, Output } from "@volley/schema/resources/cluster";

/** One event of a stream; the stream can be resumed after its id. */
export interface StreamItem<Data extends Output | Event> {
  readonly id: string;
  readonly data: Data;
}
