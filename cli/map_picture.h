/* What the map's two pictures share. */
#ifndef CLI_MAP_PICTURE_H
#define CLI_MAP_PICTURE_H

#include "map.h"

/* The finding in one or two sentences, and theory's part of it ("" where there is none). */
void map_tell(char *text, size_t capacity, const map *m, const map_finding *found);
void map_tell_theory(char *text, size_t capacity, const map *m, const map_finding *found);

/* The line that is drawn: 6 xi (Schoenholz et al., 2017). */
#define MAP_LINE 6.0

#endif
