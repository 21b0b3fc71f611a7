/** Cities with data centres or many suppliers, in 139 countries: where a seeded network stands. */

export interface City {
  /** ISO 3166-1 alpha-2. */
  readonly country: string;
  readonly name: string;
  readonly latitude: number;
  readonly longitude: number;
  /** Share of machines relative to the other cities. */
  readonly weight: number;
}

/** `country name latitude longitude weight`, one city per line. */
const LINES = `
US ashburn 39.04 -77.49 90
US dallas 32.78 -96.80 60
US chicago 41.88 -87.63 45
US san-jose 37.34 -121.89 50
US los-angeles 34.05 -118.24 40
US portland 45.52 -122.68 35
US phoenix 33.45 -112.07 35
US atlanta 33.75 -84.39 35
US new-york 40.71 -74.01 45
US salt-lake-city 40.76 -111.89 20
US denver 39.74 -104.99 18
US seattle 47.61 -122.33 25
US des-moines 41.59 -93.62 22
US kansas-city 39.10 -94.58 18
US columbus 39.96 -83.00 22
US miami 25.76 -80.19 18
US houston 29.76 -95.37 20
US minneapolis 44.98 -93.27 10
CA montreal 45.50 -73.57 35
CA toronto 43.65 -79.38 30
CA vancouver 49.28 -123.12 14
CA calgary 51.05 -114.07 8
MX queretaro 20.59 -100.39 10
MX mexico-city 19.43 -99.13 8
DE frankfurt 50.11 8.68 70
DE berlin 52.52 13.40 20
DE munich 48.14 11.58 16
DE falkenstein 50.48 12.37 28
DE hamburg 53.55 9.99 12
NL amsterdam 52.37 4.90 50
NL groningen 53.22 6.57 14
GB london 51.51 -0.13 50
GB manchester 53.48 -2.24 14
GB edinburgh 55.95 -3.19 6
FR paris 48.86 2.35 40
FR marseille 43.30 5.37 12
FR strasbourg 48.57 7.75 12
FR lille 50.63 3.06 8
IE dublin 53.35 -6.26 25
SE stockholm 59.33 18.07 26
SE lulea 65.58 22.15 18
NO oslo 59.91 10.75 18
NO bergen 60.39 5.32 10
FI helsinki 60.17 24.94 24
FI oulu 65.01 25.47 8
DK copenhagen 55.68 12.57 14
IS reykjavik 64.15 -21.94 14
CH zurich 47.38 8.54 20
CH geneva 46.20 6.14 8
AT vienna 48.21 16.37 14
BE brussels 50.85 4.35 12
LU luxembourg 49.61 6.13 5
ES madrid 40.42 -3.70 18
ES barcelona 41.39 2.17 8
PT lisbon 38.72 -9.14 9
IT milan 45.46 9.19 18
IT rome 41.90 12.50 8
PL warsaw 52.23 21.01 20
PL krakow 50.06 19.94 6
CZ prague 50.08 14.44 14
SK bratislava 48.15 17.11 5
HU budapest 47.50 19.04 8
RO bucharest 44.43 26.10 12
BG sofia 42.70 23.32 12
GR athens 37.98 23.73 6
HR zagreb 45.81 15.98 4
SI ljubljana 46.06 14.51 4
RS belgrade 44.79 20.45 5
BA sarajevo 43.86 18.41 2
ME podgorica 42.44 19.26 1
MK skopje 42.00 21.43 2
AL tirana 41.33 19.82 2
MD chisinau 47.01 28.86 3
UA kyiv 50.45 30.52 10
LT vilnius 54.69 25.28 8
LV riga 56.95 24.11 6
EE tallinn 59.44 24.75 8
CY nicosia 35.19 33.38 2
MT valletta 35.90 14.51 1
TR istanbul 41.01 28.98 10
GE tbilisi 41.72 44.79 4
AM yerevan 40.18 44.51 4
AZ baku 40.41 49.87 3
KZ almaty 43.24 76.89 6
UZ tashkent 41.30 69.24 3
KG bishkek 42.87 74.57 1
TJ dushanbe 38.56 68.79 1
MN ulaanbaatar 47.89 106.91 2
JP tokyo 35.68 139.69 55
JP osaka 34.69 135.50 20
JP sapporo 43.06 141.35 6
KR seoul 37.57 126.98 30
KR busan 35.18 129.08 6
TW taipei 25.03 121.57 20
HK hong-kong 22.32 114.17 16
MO macau 22.20 113.54 1
SG singapore 1.35 103.82 40
MY johor-bahru 1.49 103.74 24
MY kuala-lumpur 3.14 101.69 8
ID jakarta -6.21 106.85 14
TH bangkok 13.76 100.50 10
VN hanoi 21.03 105.85 6
VN ho-chi-minh-city 10.82 106.63 6
PH manila 14.60 120.98 7
KH phnom-penh 11.56 104.92 1
LA vientiane 17.98 102.63 1
BN bandar-seri-begawan 4.90 114.94 1
IN mumbai 19.08 72.88 30
IN chennai 13.08 80.27 14
IN hyderabad 17.39 78.49 14
IN delhi 28.61 77.21 10
LK colombo 6.93 79.86 2
BD dhaka 23.81 90.41 3
NP kathmandu 27.72 85.32 2
BT thimphu 27.47 89.64 3
PK karachi 24.86 67.01 4
MV male 4.18 73.51 1
AU sydney -33.87 151.21 28
AU melbourne -37.81 144.96 12
AU perth -31.95 115.86 4
NZ auckland -36.85 174.76 8
FJ suva -18.14 178.44 1
AE abu-dhabi 24.45 54.38 22
AE dubai 25.20 55.27 12
SA riyadh 24.71 46.68 14
SA dammam 26.42 50.09 6
QA doha 25.29 51.53 5
BH manama 26.23 50.59 3
KW kuwait-city 29.38 47.99 2
OM muscat 23.59 58.41 2
IL tel-aviv 32.09 34.78 10
JO amman 31.95 35.93 2
LB beirut 33.89 35.50 1
IQ erbil 36.19 44.01 1
EG cairo 30.04 31.24 5
MA casablanca 33.57 -7.59 4
TN tunis 36.81 10.18 2
DZ algiers 36.75 3.06 2
ZA johannesburg -26.20 28.05 12
ZA cape-town -33.92 18.42 5
NG lagos 6.52 3.38 5
GH accra 5.60 -0.19 2
CI abidjan 5.36 -4.01 2
SN dakar 14.72 -17.47 2
ML bamako 12.64 -8.00 1
BF ouagadougou 12.37 -1.52 1
BJ cotonou 6.37 2.39 1
TG lome 6.13 1.22 1
CM douala 4.05 9.77 1
GA libreville 0.42 9.47 1
CD kinshasa -4.44 15.27 1
AO luanda -8.84 13.23 2
ZM lusaka -15.39 28.32 1
ZW harare -17.83 31.05 1
BW gaborone -24.63 25.92 1
NA windhoek -22.56 17.07 1
MZ maputo -25.97 32.57 1
MG antananarivo -18.88 47.51 1
MU port-louis -20.16 57.50 2
RE saint-denis -20.88 55.45 1
SC victoria -4.62 55.45 1
KE nairobi -1.29 36.82 5
UG kampala 0.35 32.58 2
TZ dar-es-salaam -6.79 39.21 2
RW kigali -1.94 30.06 3
ET addis-ababa 9.03 38.74 4
DJ djibouti 11.59 43.15 1
CV praia 14.93 -23.51 1
BR sao-paulo -23.55 -46.63 24
BR fortaleza -3.73 -38.53 6
BR rio-de-janeiro -22.91 -43.17 6
AR buenos-aires -34.60 -58.38 8
CL santiago -33.45 -70.67 12
UY montevideo -34.90 -56.16 3
PY ciudad-del-este -25.51 -54.61 6
BO la-paz -16.49 -68.12 1
PE lima -12.05 -77.04 3
EC quito -0.18 -78.47 2
CO bogota 4.71 -74.07 6
VE caracas 10.48 -66.90 1
GY georgetown 6.80 -58.16 1
PA panama-city 8.98 -79.52 3
CR san-jose 9.93 -84.08 3
NI managua 12.11 -86.24 1
HN tegucigalpa 14.07 -87.19 1
SV san-salvador 13.69 -89.22 1
GT guatemala-city 14.63 -90.51 2
DO santo-domingo 18.49 -69.93 2
PR san-juan 18.47 -66.11 2
JM kingston 17.97 -76.79 1
TT port-of-spain 10.65 -61.50 1
FO torshavn 62.01 -6.77 1
`;

export const CITIES: readonly City[] = LINES.trim()
  .split("\n")
  .map((line) => {
    const [country = "", name = "", latitude, longitude, weight] = line.split(" ");
    return { country, name, latitude: Number(latitude), longitude: Number(longitude), weight: Number(weight) };
  });
