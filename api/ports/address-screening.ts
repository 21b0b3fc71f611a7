/** Says which addresses nobody may deal with. Asked often, so it answers from memory. */
export interface AddressScreening {
  /** Of the list that is asked, ISO 8601, so that a decision can be understood later. */
  readonly listDate: string;
  isListed(address: string): boolean;
}
