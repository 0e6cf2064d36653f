export type { NetNamespaceRef } from "./netns.js";
export { type MissedVerdicts, type NfVerdict, NfVerdicts, type NfVerdictsOptions, nfVerdicts } from "./nf_verdicts.js";
