/** The date of the surface that this server speaks: the value of `Volley-Version`. */
export const API_VERSION = "2026-11-22";
