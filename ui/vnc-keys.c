/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keysyms (X11, keysymdef.h) to keys of a US keyboard. */
#include "util/osdep.h"

#include <rfb/keysym.h>

#include "vnc.h"

typedef struct KeysymKey {
    uint16_t keysym, key;
} KeysymKey;

/* clang-format off */
/* The characters from space to tilde. */
static const uint8_t ascii[] = {
#define K(name) Q_KEY_CODE_##name
    K(SPC), K(1), K(APOSTROPHE), K(3), K(4), K(5), K(7), K(APOSTROPHE),
    K(9), K(0), K(8), K(EQUAL), K(COMMA), K(MINUS), K(DOT), K(SLASH),
    K(0), K(1), K(2), K(3), K(4), K(5), K(6), K(7), K(8), K(9),
    K(SEMICOLON), K(SEMICOLON), K(COMMA), K(EQUAL), K(DOT), K(SLASH), K(2),
    K(A), K(B), K(C), K(D), K(E), K(F), K(G), K(H), K(I), K(J), K(K), K(L), K(M),
    K(N), K(O), K(P), K(Q), K(R), K(S), K(T), K(U), K(V), K(W), K(X), K(Y), K(Z),
    K(BRACKET_LEFT), K(BACKSLASH), K(BRACKET_RIGHT), K(6), K(MINUS), K(GRAVE_ACCENT),
    K(A), K(B), K(C), K(D), K(E), K(F), K(G), K(H), K(I), K(J), K(K), K(L), K(M),
    K(N), K(O), K(P), K(Q), K(R), K(S), K(T), K(U), K(V), K(W), K(X), K(Y), K(Z),
    K(BRACKET_LEFT), K(BACKSLASH), K(BRACKET_RIGHT), K(GRAVE_ACCENT),
};

static const KeysymKey others[] = {
    { XK_BackSpace, K(BACKSPACE) }, { XK_Tab, K(TAB) }, { XK_ISO_Left_Tab, K(TAB) }, { XK_Return, K(RET) },
    { XK_Pause, K(PAUSE) }, { XK_Break, K(PAUSE) }, { XK_Scroll_Lock, K(SCROLL_LOCK) },
    { XK_Sys_Req, K(SYSRQ) }, { XK_Escape, K(ESC) }, { XK_Delete, K(DELETE) }, { XK_Multi_key, K(COMPOSE) },
    { XK_Home, K(HOME) }, { XK_Left, K(LEFT) }, { XK_Up, K(UP) }, { XK_Right, K(RIGHT) }, { XK_Down, K(DOWN) },
    { XK_Page_Up, K(PGUP) }, { XK_Page_Down, K(PGDN) }, { XK_End, K(END) }, { XK_Insert, K(INSERT) },
    { XK_Print, K(PRINT) }, { XK_Menu, K(COMPOSE) }, { XK_Help, K(HELP) }, { XK_Num_Lock, K(NUM_LOCK) },
    { XK_KP_Enter, K(KP_ENTER) }, { XK_KP_Home, K(KP_7) }, { XK_KP_Left, K(KP_4) }, { XK_KP_Up, K(KP_8) },
    { XK_KP_Right, K(KP_6) }, { XK_KP_Down, K(KP_2) }, { XK_KP_Page_Up, K(KP_9) },
    { XK_KP_Page_Down, K(KP_3) }, { XK_KP_End, K(KP_1) }, { XK_KP_Begin, K(KP_5) },
    { XK_KP_Insert, K(KP_0) }, { XK_KP_Delete, K(KP_DECIMAL) }, { XK_KP_Equal, K(KP_EQUALS) },
    { XK_KP_Multiply, K(KP_MULTIPLY) }, { XK_KP_Add, K(KP_ADD) }, { XK_KP_Separator, K(KP_COMMA) },
    { XK_KP_Subtract, K(KP_SUBTRACT) }, { XK_KP_Decimal, K(KP_DECIMAL) }, { XK_KP_Divide, K(KP_DIVIDE) },
    { XK_KP_0, K(KP_0) }, { XK_KP_1, K(KP_1) }, { XK_KP_2, K(KP_2) }, { XK_KP_3, K(KP_3) }, { XK_KP_4, K(KP_4) },
    { XK_KP_5, K(KP_5) }, { XK_KP_6, K(KP_6) }, { XK_KP_7, K(KP_7) }, { XK_KP_8, K(KP_8) }, { XK_KP_9, K(KP_9) },
    { XK_F1, K(F1) }, { XK_F2, K(F2) }, { XK_F3, K(F3) }, { XK_F4, K(F4) }, { XK_F5, K(F5) }, { XK_F6, K(F6) },
    { XK_F7, K(F7) }, { XK_F8, K(F8) }, { XK_F9, K(F9) }, { XK_F10, K(F10) }, { XK_F11, K(F11) }, { XK_F12, K(F12) },
    { XK_F13, K(F13) }, { XK_F14, K(F14) }, { XK_F15, K(F15) }, { XK_F16, K(F16) }, { XK_F17, K(F17) },
    { XK_F18, K(F18) }, { XK_F19, K(F19) }, { XK_F20, K(F20) }, { XK_F21, K(F21) }, { XK_F22, K(F22) },
    { XK_F23, K(F23) }, { XK_F24, K(F24) },
    { XK_Shift_L, K(SHIFT) }, { XK_Shift_R, K(SHIFT_R) }, { XK_Control_L, K(CTRL) }, { XK_Control_R, K(CTRL_R) },
    { XK_Caps_Lock, K(CAPS_LOCK) }, { XK_Meta_L, K(META_L) }, { XK_Meta_R, K(META_R) }, { XK_Alt_L, K(ALT) },
    { XK_Alt_R, K(ALT_R) }, { XK_Super_L, K(META_L) }, { XK_Super_R, K(META_R) }, { XK_Hyper_L, K(META_L) },
    { XK_Hyper_R, K(META_R) }, { XK_ISO_Level3_Shift, K(ALT_R) }, { XK_Mode_switch, K(ALT_R) },
#undef K
};
/* clang-format on */

QKeyCode vnc_key_from_keysym(uint32_t keysym)
{
    if (keysym >= ' ' && keysym <= '~') {
        return ascii[keysym - ' '];
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        if (others[i].keysym == keysym) {
            return others[i].key;
        }
    }
    return Q_KEY_CODE_UNMAPPED;
}
