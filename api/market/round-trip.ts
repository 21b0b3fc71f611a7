/**
 * Estimates of the network round trip between two machines, from where they stand. They rank places and
 * bound gangs; they promise nothing about a given path.
 */

/** Mean radius of the Earth (IUGG). */
const EARTH_RADIUS_KM = 6371.0088;

/** Between ranks on one machine: no network at all. */
export const RTT_HOST_MS = 0;
/** Across one fabric: a few switch hops; InfiniBand and RoCE stay well below this. */
export const RTT_FABRIC_MS = 0.05;
/** Between any two machines that share no fabric: two edge networks and the hosts' own queues. */
const RTT_BASE_MS = 1;

/** Light in fibre takes 5 microseconds per kilometre one way (ITU-T G.114, annex A), so 10 both ways. */
const RTT_MS_PER_ROUTE_KM = 0.01;
/** Routes are longer than the straight line by these factors (ITU-T G.826, as Y.1541 uses them for delay). */
const ROUTE_FACTOR_NEAR = 1.5;
const ROUTE_FACTOR_FAR = 1.25;
/** Between 1,000 and 1,200 km of straight line the route stays at this length, which joins the two rules. */
const ROUTE_KM_BETWEEN = 1500;

/** A point on the unit sphere. */
export interface Point {
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

/** Places are kept to a tenth of a degree (11 km, a tenth of a millisecond): coordinates of machines are no finer. */
export const SITE_STEPS_PER_DEGREE = 10;

/** One number per place: machines with the same site are at distance zero. */
export function siteKey(latitude: number, longitude: number): number {
  const row = Math.round((latitude + 90) * SITE_STEPS_PER_DEGREE);
  const column = Math.round((longitude + 180) * SITE_STEPS_PER_DEGREE) % (360 * SITE_STEPS_PER_DEGREE);
  return row * 360 * SITE_STEPS_PER_DEGREE + column;
}

/** The point that stands for a site. */
export function sitePoint(key: number): Point {
  const columns = 360 * SITE_STEPS_PER_DEGREE;
  const latitude = ((Math.floor(key / columns) / SITE_STEPS_PER_DEGREE - 90) * Math.PI) / 180;
  const longitude = (((key % columns) / SITE_STEPS_PER_DEGREE - 180) * Math.PI) / 180;
  return {
    x: Math.cos(latitude) * Math.cos(longitude),
    y: Math.cos(latitude) * Math.sin(longitude),
    z: Math.sin(latitude),
  };
}

/** Square of the straight line through the sphere; grows with the distance on it, and is cheap to compare. */
export function chordSquared(a: Point, b: Point): number {
  return (a.x - b.x) ** 2 + (a.y - b.y) ** 2 + (a.z - b.z) ** 2;
}

function distanceKm(chordSquaredValue: number): number {
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(chordSquaredValue) / 2));
}

function routeKm(straightKm: number): number {
  if (straightKm * ROUTE_FACTOR_NEAR < ROUTE_KM_BETWEEN) return straightKm * ROUTE_FACTOR_NEAR;
  return Math.max(ROUTE_KM_BETWEEN, straightKm * ROUTE_FACTOR_FAR);
}

/** Round trip between two machines that share no fabric, given the square of the chord between their sites. */
export function rttMsOfChord(chordSquaredValue: number): number {
  return RTT_BASE_MS + routeKm(distanceKm(chordSquaredValue)) * RTT_MS_PER_ROUTE_KM;
}

/** Square of the chord of half the distance. */
export function halfway(chordSquaredValue: number): number {
  return (2 * Math.sin(Math.asin(Math.min(1, Math.sqrt(chordSquaredValue) / 2)) / 2)) ** 2;
}

/** The other way round: the largest square of a chord whose round trip stays within a limit; negative when none does. */
export function chordSquaredMax(rttMsMax: number): number {
  const route = (rttMsMax - RTT_BASE_MS) / RTT_MS_PER_ROUTE_KM;
  if (route < 0) return -1;
  const straightKm = route < ROUTE_KM_BETWEEN ? route / ROUTE_FACTOR_NEAR : route / ROUTE_FACTOR_FAR;
  const angle = straightKm / EARTH_RADIUS_KM;
  return angle >= Math.PI ? 4 : (2 * Math.sin(angle / 2)) ** 2;
}
