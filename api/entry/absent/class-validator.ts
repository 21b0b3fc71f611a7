/** Stands for a package that type-graphql would load if asked to validate, which it is not: zod does that. */
export {};
