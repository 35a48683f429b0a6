"""What the simulated company sells and the word lists its people and devices are made of."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from decimal import Decimal

from lakecdp.simulator.settings import SimulatorSettings


@dataclass(frozen=True)
class Category:
    """A category: English code, Chinese name, median price in CNY, brands, goods, search terms."""

    code: str
    name: str
    price: float
    brands: tuple[str, ...]
    goods: tuple[str, ...]
    terms: tuple[str, ...]


CATEGORIES: tuple[Category, ...] = (
    Category(
        "maternity",
        "孕产",
        129.0,
        ("Mamaville 妈妈村", "Bloomwell", "十月晴", "NestYou", "柔禾"),
        ("孕妇枕", "待产包", "防辐射服", "产褥垫", "哺乳文胸", "妊娠油", "孕妇裤", "吸奶器"),
        ("孕妇枕", "待产包", "吸奶器", "nursing bra"),
    ),
    Category(
        "baby",
        "母婴",
        89.0,
        ("PandaCub 熊猫崽", "LittleOat", "贝贝鹿", "Snugo", "小禾苗"),
        ("纸尿裤", "婴儿奶粉", "湿巾", "奶瓶", "婴儿车", "辅食米粉", "婴儿润肤霜", "安抚奶嘴"),
        ("纸尿裤", "奶粉", "婴儿车", "baby wipes"),
    ),
    Category(
        "beauty",
        "美妆",
        109.0,
        ("Luxia", "花间集", "PureMoon", "素颜记", "Aurelle"),
        ("面膜", "精华液", "口红", "防晒霜", "洗面奶", "眼霜", "粉底液", "香水"),
        ("面膜", "防晒霜", "口红", "serum"),
    ),
    Category(
        "grocery",
        "食品",
        32.0,
        ("田园季", "OatHill", "稻香里", "NutKing 坚果王", "FreshPort"),
        ("每日坚果", "纯牛奶", "五常大米", "橄榄油", "挂面", "速溶咖啡", "燕麦片", "蜂蜜"),
        ("坚果", "牛奶", "大米", "coffee"),
    ),
    Category(
        "home",
        "家居",
        69.0,
        ("木之家", "Homelle", "CottonBay", "净物", "Liva"),
        ("四件套", "毛巾", "收纳箱", "洗衣液", "香薰", "台灯", "乳胶枕", "厨房纸"),
        ("四件套", "收纳", "台灯", "towel"),
    ),
    Category(
        "electronics",
        "数码",
        399.0,
        ("Voltio", "极光", "Kanto", "SoundLeaf", "米谷"),
        ("蓝牙耳机", "充电宝", "智能手环", "电动牙刷", "空气净化器", "平板电脑", "音箱", "吹风机"),
        ("蓝牙耳机", "充电宝", "手环", "tablet"),
    ),
    Category(
        "pet",
        "宠物",
        58.0,
        ("PawPaw", "喵星球", "GoodTail", "汪汪乐", "FurFun"),
        ("猫粮", "狗粮", "猫砂", "宠物窝", "逗猫棒", "牵引绳", "罐头", "饮水机"),
        ("猫粮", "猫砂", "狗粮", "cat litter"),
    ),
    Category(
        "sports",
        "运动",
        159.0,
        ("StrideOn", "青山行", "Flexa", "动力者", "Peakly"),
        ("跑步鞋", "瑜伽垫", "运动水壶", "速干衣", "哑铃", "羽毛球拍", "登山包", "护膝"),
        ("跑步鞋", "瑜伽垫", "速干衣", "yoga mat"),
    ),
)

PACKS = ("标准装", "家庭装", "旅行装, 小号", "升级款", "礼盒", "轻享版", '12"', "两件装")

SURNAMES = (
    *("王:wang", "李:li", "张:zhang", "刘:liu", "陈:chen", "杨:yang", "黄:huang", "赵:zhao"),
    *("吴:wu", "周:zhou", "徐:xu", "孙:sun", "马:ma", "朱:zhu", "胡:hu", "郭:guo"),
    *("何:he", "高:gao", "林:lin", "罗:luo", "郑:zheng", "梁:liang", "谢:xie", "宋:song"),
    *("唐:tang", "许:xu", "韩:han", "冯:feng", "邓:deng", "曹:cao", "彭:peng", "曾:zeng"),
)
FEMALE_NAMES = (
    *("芳:fang", "娜:na", "敏:min", "静:jing", "秀英:xiuying", "丽:li", "艳:yan", "娟:juan"),
    *("雨桐:yutong", "欣怡:xinyi", "诗涵:shihan", "梓萱:zixuan", "佳琪:jiaqi", "思雨:siyu"),
    *("晓燕:xiaoyan", "婷婷:tingting"),
)
MALE_NAMES = (
    *("伟:wei", "强:qiang", "磊:lei", "军:jun", "洋:yang", "勇:yong", "杰:jie", "涛:tao"),
    *("浩然:haoran", "子轩:zixuan", "宇航:yuhang", "志强:zhiqiang", "俊杰:junjie"),
    *("建国:jianguo", "明轩:mingxuan", "天佑:tianyou"),
)
MAIL_HOSTS = ("qq.com", "163.com", "126.com", "gmail.com", "outlook.com", "sina.com")

# City, province, weight.
CITIES: tuple[tuple[str, str, float], ...] = (
    ("上海", "上海", 12.0),
    ("北京", "北京", 11.0),
    ("广州", "广东", 8.0),
    ("深圳", "广东", 8.0),
    ("杭州", "浙江", 7.0),
    ("成都", "四川", 7.0),
    ("武汉", "湖北", 5.0),
    ("南京", "江苏", 5.0),
    ("苏州", "江苏", 5.0),
    ("重庆", "重庆", 5.0),
    ("西安", "陕西", 4.0),
    ("天津", "天津", 4.0),
    ("长沙", "湖南", 4.0),
    ("郑州", "河南", 4.0),
    ("青岛", "山东", 3.0),
    ("宁波", "浙江", 3.0),
    ("厦门", "福建", 2.0),
    ("昆明", "云南", 2.0),
)

# Operating system, version, model, weight.
DEVICES: tuple[tuple[str, str, str, float], ...] = (
    ("iOS", "19.1", "iPhone17,2", 14.0),
    ("iOS", "18.6", "iPhone15,3", 12.0),
    ("iOS", "18.6", "iPad14,1", 4.0),
    ("HarmonyOS", "6.0", "Mate 80", 14.0),
    ("HarmonyOS", "5.1", "Pura 70", 9.0),
    ("Android", "16", "Xiaomi 16", 15.0),
    ("Android", "15", "OPPO Find X8", 12.0),
    ("Android", "15", "vivo X200", 12.0),
    ("Android", "14", "HONOR 200", 8.0),
)
APP_VERSIONS = ("8.2.0", "8.3.1", "8.4.0", "8.4.2")

BROWSERS = (
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/141.0.0.0 Safari/537.36"
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/18.5 Safari/605.1.15"
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
    ),
    (
        "Mozilla/5.0 (Linux; Android 15; V2405A) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/139.0.0.0 Mobile Safari/537.36"
    ),
    "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0",
)
# User agent and address block of robots that name themselves, and whether a hosting provider owns it.
ROBOTS: tuple[tuple[str, str, bool], ...] = (
    (
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "66.249.66.",
        False,
    ),
    (
        "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
        "220.181.108.",
        False,
    ),
    (
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "40.77.167.",
        True,
    ),
    (
        (
            "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile "
            "Safari/537.36 (compatible; Bytespider; spider-feedback@bytedance.com)"
        ),
        "110.249.201.",
        False,
    ),
    (
        "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
        "54.36.148.",
        False,
    ),
    ("python-requests/2.32.3", "47.92.118.", True),
)
# Programs that look for holes name themselves, or pretend to be a browser.
SCANNERS = (
    *BROWSERS,
    "Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)",
    "sqlmap/1.8.4#stable (https://sqlmap.org)",
    "-",
)
# Method, address and status of what they ask for.
PROBES: tuple[tuple[str, str, int], ...] = (
    ("GET", "/wp-login.php", 404),
    ("GET", "/.env", 404),
    ("GET", "/.git/config", 403),
    ("POST", "/xmlrpc.php", 404),
    ("GET", "/phpMyAdmin/index.php", 404),
    ("GET", "/p/BAB00041?id=1%27%20UNION%20ALL%20SELECT%20NULL,NULL--%20", 200),
    ("GET", "/search?q=%3Cscript%3Ealert(1)%3C/script%3E", 200),
    ("GET", "/static/..%2f..%2f..%2fetc/passwd", 400),
    ("GET", "/cgi-bin/luci/;stok=/locale?form=country", 404),
    ("POST", "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", 404),
    ("CONNECT", "/", 405),
    ("TRACE", "/", 405),
    ("GET", "/backup.sql.gz", 404),
    ("GET", "/p/BAB00041?x=${jndi:ldap://a.example/b}", 200),
)
# What they come across on the way: addresses that a shop may have, or not.
GUESSES = ("/admin", "/test", "/old", "/dev", "/api/v1/users", "/portal", "/login.do", "/config")
# First two octets of blocks of hosting providers, and of addresses that nobody on the internet has.
HOSTED = ("52.20", "47.96", "159.65", "20.36", "121.40")
BOGONS = ("10.23", "192.168", "172.20", "100.70", "169.254", "198.18", "240.7")
REFERRERS = ("https://www.baidu.com/", "https://cn.bing.com/", "https://weibo.com/", "")
# First two octets of residential Chinese networks.
HOME_NETWORKS = (
    *("14.144", "36.4", "58.32", "60.176", "101.80", "112.0", "113.64", "114.84", "116.224"),
    *("117.136", "121.32", "123.112", "124.64", "180.160", "183.0", "218.1", "221.216", "222.64"),
)
PAYMENTS: tuple[tuple[str, float], ...] = (
    ("wechat_pay", 45.0),
    ("alipay", 35.0),
    ("unionpay", 13.0),
    ("cash", 7.0),
)
LEVELS = ("standard", "silver", "gold")

# Values that identify nobody, as devices, browsers and people write them: on every list of junk ...
JUNK = {
    "device_id": ("00000000-0000-0000-0000-000000000000", "9774d56d682e549c", "0000000000000000"),
    "cookie": ("null", "undefined", "-"),
    "phone": ("13800138000", "11111111111"),
    "email": ("test@test.com", "noreply@example.com"),
    "member_id": ("anonymous", "0"),
}
# ... and on none.
UNLISTED_JUNK = {
    "device_id": ("b07e1d5a9c3f2468", "unprovisioned-tab"),
    "cookie": ("ck-opted-out", "ck-consent-pending"),
    "phone": ("13912345678", "13700001234"),
    "email": ("meiyou@qq.com", "abc@163.com"),
    "member_id": ("visitor",),
}


@dataclass(frozen=True)
class Product:
    """One product: sku, bilingual name, category and brand, price and cost in CNY."""

    sku: str
    name: str
    category: str
    brand: str
    price: Decimal
    cost: Decimal


def _fraction(seed: int, purpose: str, number: int) -> float:
    digest = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return (int.from_bytes(digest[:6]) + 0.5) / float(1 << 48)


def products(settings: SimulatorSettings) -> list[Product]:
    """All products, by category and then by popularity.

    Prices are lognormal around the category's median and end in .90; the cost is 45 % to 75 % of
    the price.
    """
    shape = settings.catalogue
    found: list[Product] = []
    for category in CATEGORIES[: shape.categories]:
        for rank in range(shape.products_per_category):
            number = len(found)
            brands = shape.brands_per_category
            base = category.brands[rank % brands % len(category.brands)]
            extra = rank % brands // len(category.brands)
            brand = base if extra == 0 else f"{base} {extra + 1}"
            first = _fraction(settings.seed, "price a", number)
            second = _fraction(settings.seed, "price b", number)
            normal = math.sqrt(-2.0 * math.log(first)) * math.cos(2.0 * math.pi * second)
            price = Decimal(round(category.price * math.exp(0.6 * normal))) + Decimal("0.90")
            share = 0.45 + 0.3 * _fraction(settings.seed, "cost", number)
            goods = category.goods[rank % len(category.goods)]
            pack = PACKS[rank // len(category.goods) % len(PACKS)]
            found.append(
                Product(
                    sku=f"{category.code[:3].upper()}{number + 1:05d}",
                    name=f"{brand} {goods} {pack}",
                    category=category.code,
                    brand=brand,
                    price=price,
                    cost=Decimal(round(float(price) * share * 100)) / 100,
                )
            )
    return found
